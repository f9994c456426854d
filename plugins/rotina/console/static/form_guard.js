// A form is sent once, however often its button is pressed.
"use strict";

document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
});
// Whoever comes back to the form may send it again.
window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
});
