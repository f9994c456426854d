// What the pages of the console share. Nothing here makes HTML of data: texts go in as text.
"use strict";

window.rotina = (function () {
    const texts = window.rotinaTexts || {};

    /** The answer of one of our routes: an object, or the text of a fragment of HTML; its words as an Error. */
    async function answerOf(reply) {
        const isJson = (reply.headers.get("Content-Type") || "").startsWith("application/json");
        const answer = isJson ? await reply.json() : await reply.text();
        if (reply.ok) return answer;
        // The token of our pages is missing or old: starlette-admin says so in words of its own.
        if (reply.status === 403 && !isJson) throw new Error(texts.reload);
        throw new Error(isJson && typeof answer.detail === "string" ? answer.detail : texts.failed);
    }

    /** POST JSON to one of our routes; resolves to its answer, rejects with an Error of its words. */
    async function post(url, body) {
        const reply = await fetch(url, {
            method: "POST",
            headers: {
                "Content-Type": "application/json",
                "Accept": "application/json",
                "X-CSRFToken": Cookies.get("starlette_admin_csrftoken") || "",
            },
            body: JSON.stringify(body || {}),
        });
        return answerOf(reply);
    }

    /** GET a fragment of HTML, or JSON, of one of our routes. */
    async function get(url) {
        return answerOf(await fetch(url, { headers: { "Accept": "application/json" } }));
    }

    /**
     * Tell something at the top of the page; kind is success, warning, danger or info.
     * @param {{label: string, url: string, body: object}} [undo] what a button beside it posts
     */
    function tell(text, kind, undo) {
        const alert = document.createElement("div");
        alert.className = `alert alert-${kind || "info"} alert-dismissible mb-2`;
        alert.setAttribute("role", kind === "danger" ? "alert" : "status");
        const words = document.createElement("div");
        words.textContent = text;
        const close = document.createElement("a");
        close.className = "btn-close";
        close.setAttribute("data-bs-dismiss", "alert");
        close.setAttribute("aria-label", texts.close);
        if (undo) {
            const button = element("button", "btn btn-sm ms-3", undo.label);
            button.type = "button";
            button.addEventListener("click", () => act(button, undo.url, undo.body));
            words.append(button);
        }
        alert.append(words, close);
        const container = document.getElementById("alertContainer");
        container.prepend(alert);
        container.scrollIntoView({ block: "nearest" });
    }

    function element(tag, className, text) {
        const made = document.createElement(tag);
        made.className = className;
        if (text !== undefined) made.textContent = text;
        return made;
    }

    /**
     * A dialog of our own: Airflow's frame lets no page call confirm(). Resolves to true when its button was
     * pressed, to false when it was closed, or when another one is open (a second click).
     * @param {{title: string, text?: string, facts?: [string, string][], button?: string, danger?: boolean,
     *     content?: Node, dismiss?: string, waits?: boolean}} options - with `waits` the button is for pressing only while the
     *     content says so: new CustomEvent("ready", { detail: true, bubbles: true })
     */
    function confirm(options) {
        if (document.querySelector(".rotina-confirm")) return Promise.resolve(false);
        return new Promise((resolve) => {
            const modal = element("div", "modal modal-blur fade rotina-confirm");
            modal.tabIndex = -1;
            modal.setAttribute("role", "dialog");
            modal.setAttribute("aria-modal", "true");
            modal.setAttribute("aria-label", options.title);
            const dialog = element("div", "modal-dialog modal-dialog-centered");
            const content = element("div", "modal-content");
            const header = element("div", "modal-header");
            const close = element("button", "btn-close");
            close.type = "button";
            close.dataset.bsDismiss = "modal";
            close.setAttribute("aria-label", texts.close);
            header.append(element("h5", "modal-title", options.title), close);
            const body = element("div", "modal-body");
            if (options.text) body.append(element("p", "mb-2", options.text));
            if (options.facts) {
                const facts = element("dl", "facts");
                for (const [title, value] of options.facts) {
                    const fact = document.createElement("div");
                    fact.append(element("dt", "", title), element("dd", "", value));
                    facts.append(fact);
                }
                body.append(facts);
            }
            if (options.content) body.append(options.content);
            const footer = element("div", "modal-footer");
            const cancel = element("button", "btn me-auto", options.dismiss || texts.cancel);
            cancel.type = "button";
            cancel.dataset.bsDismiss = "modal";
            const go = element("button", `btn btn-${options.danger ? "danger" : "primary"}`, options.button || texts.confirm);
            go.type = "button";
            go.disabled = Boolean(options.waits);
            body.addEventListener("ready", (event) => (go.disabled = !event.detail));
            footer.append(cancel, go);
            content.append(header, body, footer);
            dialog.append(content);
            modal.append(dialog);
            document.body.append(modal);
            let pressed = false;
            const shown = tabler.Modal.getOrCreateInstance(modal);
            go.addEventListener("click", () => {
                pressed = true;
                shown.hide();
            });
            modal.addEventListener("shown.bs.modal", () => go.focus());
            modal.addEventListener("hidden.bs.modal", () => {
                shown.dispose();
                modal.remove();
                resolve(pressed);
            });
            shown.show();
        });
    }

    /** Load the page anew, which then tells `message` of an answer in the colour of `kind`, and offers its `undo`. */
    function reload(answer) {
        if (answer.message) sessionStorage.setItem("rotina.told", JSON.stringify(answer));
        window.location.reload();
    }

    /** Ask with `confirm`, then POST; tells what came of it, and loads the page anew when it went well. */
    async function act(button, url, body, question) {
        if (question && !(await confirm(question))) return;
        button.disabled = true;
        try {
            const answer = await post(url, body);
            reload(answer);
        } catch (error) {
            tell(error.message, "danger");
            button.disabled = false;
        }
    }

    // What was told before the page was loaded anew.
    const told = sessionStorage.getItem("rotina.told");
    if (told) {
        sessionStorage.removeItem("rotina.told");
        const answer = JSON.parse(told);
        tell(answer.message, answer.kind || "success", answer.undo);
    }

    // A link to a page of Airflow opens there: the frame may not lead its window elsewhere, its page may.
    document.addEventListener("click", (event) => {
        const link = event.target.closest("a[data-airflow]");
        if (!link || window.parent === window || event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        const outside = window.parent.document.createElement("a");
        outside.href = link.href;
        window.parent.document.body.append(outside);
        outside.click();
        outside.remove();
    });

    // <button data-post="url" data-body='{…}' data-title="…" data-text="…" data-button="…" data-danger>
    document.addEventListener("click", (event) => {
        const button = event.target.closest("button[data-post]");
        if (!button) return;
        const data = button.dataset;
        const question = data.title && {
            title: data.title,
            text: data.text,
            button: data.button,
            danger: "danger" in data,
        };
        act(button, data.post, data.body ? JSON.parse(data.body) : {}, question);
    });

    /** What the fields of a form hold: numbers and switches as such, an empty field as null. */
    function valuesOf(form) {
        const values = {};
        for (const field of form.querySelectorAll("[name]")) {
            if (field.type === "checkbox") values[field.name] = field.checked;
            else if (field.value === "") values[field.name] = null;
            else values[field.name] = field.type === "number" ? Number(field.value) : field.value;
        }
        return values;
    }

    // <form data-send="url">: its fields are POSTed as JSON.
    document.addEventListener("submit", (event) => {
        const form = event.target.closest("form[data-send]");
        if (!form) return;
        event.preventDefault();
        act(form.querySelector("[type=submit]"), form.dataset.send, valuesOf(form));
    });

    // <form data-submit-on-change>: filters that apply themselves.
    document.addEventListener("change", (event) => {
        const form = event.target.closest("form[data-submit-on-change]");
        if (form) form.requestSubmit();
    });

    document.addEventListener("DOMContentLoaded", () => (document.documentElement.dataset.ready = ""));

    return { act, confirm, get, post, reload, tell };
})();
