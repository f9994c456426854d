// The dialog of the backfill, and how one fares.
"use strict";

(function () {
    const texts = window.filesTexts;

    let asked = 0;

    /** Show what running the days would do; until that is there they cannot be run. */
    async function plan(url, body, place) {
        const mine = ++asked; // of two answers the one to the last question counts
        const ready = (detail) => place.dispatchEvent(new CustomEvent("ready", { detail, bubbles: true }));
        ready(false);
        try {
            const told = await rotina.get(`${url}?${new URLSearchParams(body)}`);
            if (mine !== asked) return;
            place.innerHTML = told; // made by our own template
            ready(true);
        } catch (error) {
            if (mine !== asked) return;
            const alert = document.createElement("div");
            alert.className = "alert alert-danger";
            alert.setAttribute("role", "alert");
            alert.textContent = error.message;
            place.replaceChildren(alert);
        }
    }

    document.addEventListener("click", (event) => {
        const button = event.target.closest("button[data-backfill]");
        if (!button) return;
        const url = button.dataset.backfill;
        const body = { from_on: button.dataset.from, to_on: button.dataset.to };
        const content = document.getElementById("backfill-form").content.firstElementChild.cloneNode(true);
        const place = content.querySelector("[data-plan]");
        for (const [id, name] of [["backfill-from", "from_on"], ["backfill-to", "to_on"]]) {
            const field = content.querySelector(`#${id}`);
            field.value = body[name];
            field.addEventListener("change", () => {
                body[name] = field.value;
                plan(url, body, place);
            });
        }
        plan(url, body, place);
        rotina.act(button, url, body, { title: texts.title, button: texts.button, content, waits: true });
    });

    // While a backfill is not over its progress is asked for; when it is over the page is loaded anew.
    const progress = document.getElementById("backfill-progress");
    async function follow() {
        if (!progress.querySelector(".alert")) return;
        try {
            const now = (await rotina.get(progress.dataset.url)).trim();
            if (!now) {
                window.location.reload();
                return;
            }
            progress.innerHTML = now; // made by our own template
        } catch (error) {
            return; // the next page says what is wrong
        }
        setTimeout(follow, 5000);
    }
    setTimeout(follow, 5000);
})();
