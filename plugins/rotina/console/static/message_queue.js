// What people do to messages: choose them, see how many it would be, and do it.
"use strict";

(function () {
    const texts = window.messageTexts;
    const card = document.getElementById("queue");
    const single = document.getElementById("message");
    const number = new Intl.NumberFormat(texts.locale);

    // -- choosing ---------------------------------------------------------------------------------------

    const boxes = Array.from(document.querySelectorAll("[data-choose]"));
    const all = document.getElementById("choose-all");
    const scope = document.getElementById("queue-scope");

    const chosen = () => boxes.filter((box) => box.checked).map((box) => Number(box.value));

    function showChosen() {
        const many = chosen().length;
        boxes.forEach((box) => box.closest("tr").classList.toggle("chosen", box.checked));
        if (all) {
            all.checked = many > 0 && many === boxes.length;
            all.indeterminate = many > 0 && many < boxes.length;
        }
        if (!scope) return;
        const byFilter = scope.value === "filter";
        document.getElementById("queue-chosen").textContent = byFilter ? "" : texts.chosen.replace("%(count)s", number.format(many));
        document.querySelectorAll("#queue-actions [data-action]").forEach((button) => {
            const byIdsOnly = ["front", "back"].includes(button.dataset.action);
            button.disabled = byFilter ? byIdsOnly : many === 0;
        });
    }

    document.addEventListener("change", (event) => {
        if (event.target === all) boxes.forEach((box) => (box.checked = all.checked));
        if (event.target === all || event.target === scope || event.target.matches("[data-choose]")) showChosen();
    });

    function selection(button) {
        if ("query" in button.dataset) return { query: button.dataset.query };
        if (single) return { ids: [Number(single.dataset.message)] };
        if (scope.value === "filter") return { query: card.dataset.filter };
        const ids = chosen();
        // The page is newest first, unless it shows the line itself: moved messages keep their order.
        if (new URLSearchParams(window.location.search).get("order") !== "line") ids.sort((a, b) => a - b);
        return { ids };
    }

    // -- doing ------------------------------------------------------------------------------------------

    /** What the dialog asks for, as the body of the request has it. */
    function values(form) {
        const told = {};
        for (const field of form.querySelectorAll("[name]")) {
            if (!field.value) continue;
            if (field.name === "priority") told.priority = Number(field.value);
            else told[field.name] = field.value;
        }
        return told;
    }

    function facts(rows) {
        const list = document.createElement("dl");
        list.className = "facts";
        for (const [title, value] of rows) {
            const fact = document.createElement("div");
            const term = document.createElement("dt");
            const data = document.createElement("dd");
            term.textContent = title;
            data.textContent = value;
            data.className = "fs-3";
            fact.append(term, data);
            list.append(fact);
        }
        return list;
    }

    /** The bar that tells how far a long action is; `stopped()` tells whether somebody wants no more of it. */
    function progress(of) {
        const shown = document.getElementById("action-progress").content.firstElementChild.cloneNode(true);
        const bar = shown.querySelector("progress");
        const words = shown.querySelector("[data-words]");
        let stopped = false;
        shown.querySelector("button").addEventListener("click", () => (stopped = true));
        bar.max = of;
        return {
            show(text, records) {
                if (!shown.isConnected) document.getElementById("alertContainer").replaceChildren(shown);
                words.textContent = text;
                bar.value = Math.min(records, of);
            },
            stopped: () => stopped,
        };
    }

    /** Do it, request after request, until nothing is left to do or somebody stops it. */
    async function apply(body, of) {
        const buttons = document.querySelectorAll("button[data-action]");
        buttons.forEach((button) => (button.disabled = true));
        const bar = progress(of);
        let told;
        try {
            do {
                told = await rotina.post(texts.apply, told ? { ...body, so_far: told.more } : body);
                if (told.more) bar.show(told.message, told.records);
            } while (told.more && !bar.stopped());
        } catch (error) {
            if (told) {
                rotina.reload({ message: `${told.message} ${error.message}`, kind: "danger" });
                return;
            }
            rotina.tell(error.message, "danger");
            buttons.forEach((button) => (button.disabled = false));
            showChosen();
            return;
        }
        if (told.more) rotina.reload({ message: `${told.message} ${texts.stopped}`, kind: "warning" });
        else rotina.reload({ message: told.message, kind: told.records ? "success" : "warning" });
    }

    document.addEventListener("click", async (event) => {
        const button = event.target.closest("button[data-action]");
        if (!button) return;
        const action = button.dataset.action;
        const dialog = document.querySelector(`template[data-dialog="${action}"]`);
        const form = dialog.content.firstElementChild.cloneNode(true);
        const shown = form.querySelector("[data-preview]");
        const whose = selection(button);
        const body = () => ({ action, ...whose, ...values(form) });

        let asked = 0;
        let records = 0;
        function showReady() {
            const detail = records > 0 && !form.querySelector(":invalid");
            form.dispatchEvent(new CustomEvent("ready", { detail, bubbles: true }));
        }
        async function preview() {
            const mine = (asked += 1);
            shown.textContent = texts.counting;
            records = 0;
            showReady();
            try {
                const told = await rotina.post(texts.preview, body());
                if (mine !== asked) return;
                records = told.records;
                shown.replaceChildren(facts(told.facts));
                showReady();
            } catch (error) {
                if (mine === asked) shown.textContent = error.message;
            }
        }

        form.addEventListener("change", preview);
        form.addEventListener("input", showReady);
        const answered = rotina.confirm({
            title: button.dataset.of ? `${dialog.dataset.title}: ${button.dataset.of}` : dialog.dataset.title,
            button: dialog.dataset.button,
            dismiss: dialog.dataset.dismiss,
            danger: "danger" in dialog.dataset,
            content: form,
            waits: true,
        });
        preview();
        if (await answered) apply(body(), records);
    });

    showChosen();
})();
