// The e-mail of a template, shown while it is written. It stands in a frame without any right: no script of it
// runs, no form is sent, no link leads anywhere.
"use strict";

(function () {
    const card = document.getElementById("email-preview");
    const form = card.closest("form");
    const warning = card.querySelector(".alert");
    const place = card.querySelector(".email-frame");
    const account = document.getElementById("preview-account");
    const names = ["subject", "preheader", "company", "html", "text"];
    const fields = Object.fromEntries(names.map((name) => [name, form.elements[name]]));
    let shown = null;
    let part = "html";
    let last = fields.html;
    let asked = 0;

    function draw() {
        if (!shown) return;
        card.querySelector(".preview-subject").textContent = shown.subject;
        let box;
        if (part === "html") {
            box = document.createElement("iframe");
            box.setAttribute("sandbox", "");
            box.title = card.dataset.frameTitle;
            box.srcdoc = shown.html;
        } else {
            box = document.createElement("pre");
            box.textContent = shown.text;
        }
        place.replaceChildren(box);
    }

    async function refresh() {
        const turn = ++asked;
        const values = Object.fromEntries(names.map((name) => [name, fields[name].value]));
        const body = { form: values, account_id: account.value ? Number(account.value) : null };
        try {
            const answer = await rotina.post(card.dataset.url, body);
            if (turn !== asked) return;
            shown = answer;
            warning.classList.add("d-none");
            draw();
        } catch (error) {
            if (turn !== asked) return;
            warning.textContent = error.message;
            warning.classList.remove("d-none");
        }
    }

    let timer;
    form.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(refresh, 400);
    });
    form.addEventListener("focusin", (event) => {
        if (names.includes(event.target.name)) last = event.target;
    });
    card.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button) return;
        if (button.dataset.part) {
            part = button.dataset.part;
            for (const one of card.querySelectorAll("[data-part]")) one.classList.toggle("active", one === button);
            draw();
        } else if (button.dataset.variable) {
            last.setRangeText(`{{ ${button.dataset.variable} }}`, last.selectionStart, last.selectionEnd, "end");
            last.focus();
            last.dispatchEvent(new Event("input", { bubbles: true }));
        }
    });
    refresh();
})();
