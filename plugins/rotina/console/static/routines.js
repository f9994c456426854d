// The dialogs of the routines: run now, run later, preview, run missed days.
"use strict";

(function () {
    const dialog = document.getElementById("ask");
    const form = dialog.querySelector("form");
    const body = dialog.querySelector(".modal-body");
    const size = dialog.querySelector(".modal-dialog");
    const submit = dialog.querySelector("[type=submit]");
    let mode, url;

    function complain(words) {
        const alert = body.querySelector(".alert");
        alert.textContent = words;
        alert.classList.remove("d-none");
        alert.scrollIntoView({ block: "nearest" });
    }

    /** What the fields hold, as the params of the DAG have it. */
    function params() {
        const found = {};
        for (const field of body.querySelectorAll("[data-param]")) {
            const { param, kind } = field.dataset;
            if (kind === "boolean") found[param] = field.checked;
            else if (field.value === "") found[param] = null;
            else found[param] = kind === "integer" || kind === "number" ? Number(field.value) : field.value;
        }
        return found;
    }

    function asked() {
        const named = (name) => body.querySelector(`[name=${name}]`)?.value || null;
        if (mode === "missed")
            return { first_on: named("first_on"), last_on: named("last_on"), queue: named("queue"), params: params() };
        const question = { business_date: named("business_date"), params: params() };
        if (mode === "later") Object.assign(question, { date: named("date"), hour: named("hour") });
        if (mode !== "preview") question.queue = named("queue");
        return question;
    }

    document.addEventListener("click", async (event) => {
        const button = event.target.closest("button[data-ask]");
        if (!button) return;
        mode = button.dataset.ask;
        url = button.dataset.url;
        dialog.querySelector(".modal-title").textContent = button.dataset.title;
        submit.textContent = button.dataset.button;
        submit.disabled = true;
        size.classList.remove("modal-xl");
        const wait = document.createElement("div");
        wait.className = "spinner-border text-secondary d-block mx-auto my-4";
        body.replaceChildren(wait);
        const shown = tabler.Modal.getOrCreateInstance(dialog);
        shown.show();
        try {
            body.innerHTML = await rotina.get(`${url}/form?mode=${mode}`); // made by our own template
            submit.disabled = false;
        } catch (error) {
            shown.hide();
            rotina.tell(error.message, "danger");
        }
    });

    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        body.querySelector(".alert").classList.add("d-none");
        submit.disabled = true;
        submit.classList.add("btn-loading");
        try {
            if (mode === "preview") {
                size.classList.add("modal-xl");
                body.querySelector(".ask-result").innerHTML = await rotina.post(`${url}/preview`, asked());
            } else {
                rotina.reload(await rotina.post(`${url}/${mode === "missed" ? "backfills" : "requests"}`, asked()));
                return;
            }
        } catch (error) {
            complain(error.message);
        }
        submit.disabled = false;
        submit.classList.remove("btn-loading");
    });
})();
