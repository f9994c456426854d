// Filters of accounts, put together by hand: what is chosen is written as JSON into the field of the form.
"use strict";

(function () {
    function element(tag, attributes, ...children) {
        const made = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes)) {
            if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
            else if (value !== null) made.setAttribute(name, value);
        }
        made.append(...children);
        return made;
    }

    function choice(label, pairs, chosen, change) {
        const select = element("select", { class: "form-select form-select-sm", "aria-label": label });
        for (const [value, text] of pairs) {
            const option = element("option", { value }, text);
            option.selected = value === chosen;
            select.append(option);
        }
        select.addEventListener("change", () => change(select.value));
        return select;
    }

    class Builder {
        constructor(root) {
            this.field = root.querySelector("textarea");
            this.tree = root.querySelector(".filter-tree");
            const known = JSON.parse(root.querySelector(".filter-known").textContent);
            this.fields = new Map(known.fields.map((one) => [one.name, one]));
            this.ops = known.ops;
            this.texts = known.texts;
            this.read();
            this.field.addEventListener("change", () => this.read());
        }

        /** Take what the JSON says; one that is no filter stays in its field, to be refused there. */
        read() {
            let document_ = null;
            try {
                document_ = JSON.parse(this.field.value || "null");
            } catch (error) {
                this.tree.replaceChildren();
                this.field.closest("details").open = true;
                return;
            }
            if (document_ !== null) this.field.value = JSON.stringify(document_, null, 2);
            const isGroup = document_ && (Array.isArray(document_.all) || Array.isArray(document_.any));
            this.filter = isGroup ? document_ : { all: document_ && document_.field ? [document_] : [] };
            this.draw();
        }

        write() {
            const members = this.filter.all || this.filter.any;
            this.field.value = members.length ? JSON.stringify(this.filter, null, 2) : "";
            this.field.dispatchEvent(new Event("input", { bubbles: true }));
        }

        change(step) {
            step();
            this.draw();
            this.write();
        }

        draw() {
            this.tree.replaceChildren(this.group(this.filter, null));
        }

        group(group, leave) {
            const kind = group.all ? "all" : "any";
            const members = group[kind];
            const turn = (to) =>
                this.change(() => {
                    if (to === kind) return;
                    delete group[kind];
                    group[to] = members;
                });
            const head = element(
                "div",
                { class: "filter-row" },
                choice(this.texts.all, [["all", this.texts.all], ["any", this.texts.any]], kind, turn),
            );
            if (leave) head.append(this.remover(leave));
            const rows = members.map((member, index) => {
                const drop = () => this.change(() => members.splice(index, 1));
                const isGroup = member && (Array.isArray(member.all) || Array.isArray(member.any));
                return isGroup ? this.group(member, drop) : this.condition(members, index, drop);
            });
            const add = (text, made) =>
                element("button", {
                    type: "button",
                    class: "btn btn-sm",
                    onclick: () => this.change(() => members.push(made())),
                }, text);
            const first = this.fields.keys().next().value;
            return element(
                "div",
                { class: "filter-group" },
                head,
                ...rows,
                element(
                    "div",
                    { class: "filter-row" },
                    add(this.texts.addCondition, () => this.fresh(first)),
                    add(this.texts.addGroup, () => ({ any: [this.fresh(first)] })),
                ),
            );
        }

        remover(leave) {
            return element("button", {
                type: "button",
                class: "btn btn-sm btn-ghost-secondary",
                "aria-label": this.texts.remove,
                title: this.texts.remove,
                onclick: leave,
            }, "×");
        }

        /** A condition as it begins. */
        fresh(name, op) {
            const field = this.fields.get(name);
            op = field.ops.includes(op) ? op : field.ops[0];
            const made = { field: name, op };
            const value = field.type === "boolean" ? true : field.choices.length ? field.choices[0][0] : "";
            if (op === "between") made.value = ["", ""];
            else if (op === "in") made.value = [];
            else if (!op.startsWith("is_")) made.value = value;
            return made;
        }

        condition(members, index, drop) {
            const condition = members[index];
            const field = this.fields.get(condition && condition.field);
            if (!field) return element("div", { class: "filter-row" }, JSON.stringify(condition), this.remover(drop));
            const titles = [...this.fields.values()].map((one) => [one.name, one.title]);
            const ops = field.ops.map((op) => [op, this.ops[op]]);
            return element(
                "div",
                { class: "filter-row" },
                choice(this.texts.field, titles, field.name, (name) =>
                    this.change(() => { members[index] = this.fresh(name, condition.op); })),
                choice(this.texts.operator, ops, condition.op, (op) =>
                    this.change(() => { members[index] = this.fresh(field.name, op); })),
                ...this.values(field, condition),
                this.remover(drop),
            );
        }

        values(field, condition) {
            const set = (value) => {
                condition.value = value;
                this.write();
            };
            const typed = (text) =>
                field.type === "integer" && /^-?\d+$/.test(text.trim()) ? Number(text) :
                field.type === "money" ? text.trim().replace(",", ".") : text;
            if (condition.op.startsWith("is_")) return [];
            if (condition.op === "in") {
                const asked = Array.isArray(condition.value) ? condition.value : [];
                if (field.choices.length) {
                    return field.choices.map(([code, title]) => {
                        const box = element("input", { type: "checkbox", class: "form-check-input" });
                        box.checked = asked.includes(code);
                        box.addEventListener("change", () => {
                            const now = new Set(condition.value);
                            if (box.checked) now.add(code);
                            else now.delete(code);
                            set(field.choices.map(([one]) => one).filter((one) => now.has(one)));
                        });
                        return element("label", { class: "form-check form-check-inline m-0" }, box,
                            element("span", { class: "form-check-label" }, title));
                    });
                }
                const area = element("textarea", {
                    class: "form-control form-control-sm", rows: 3,
                    placeholder: this.texts.onePerLine, "aria-label": `${this.texts.value}, ${this.texts.onePerLine}`,
                });
                area.value = asked.join("\n");
                area.addEventListener("input", () =>
                    set(area.value.split("\n").filter((line) => line.trim()).map(typed)));
                return [area];
            }
            if (field.choices.length) return [choice(this.texts.value, field.choices, condition.value, set)];
            if (field.type === "boolean") {
                const pairs = [["true", this.texts.yes], ["false", this.texts.no]];
                return [choice(this.texts.value, pairs, String(condition.value), (value) => set(value === "true"))];
            }
            const input = (value, change) => {
                const kinds = { date: "date", integer: "number" };
                const made = element("input", {
                    type: kinds[field.type] || "text",
                    class: "form-control form-control-sm",
                    inputmode: field.type === "money" ? "decimal" : null,
                    placeholder: field.type === "money" ? "1000.00" : null,
                    maxlength: 200,
                    "aria-label": this.texts.value,
                });
                made.value = value ?? "";
                made.addEventListener("input", () => change(typed(made.value)));
                if (field.known.length) {
                    const list = element("datalist", { id: `known-${Math.random().toString(36).slice(2)}` },
                        ...field.known.map((one) => element("option", { value: one })));
                    made.setAttribute("list", list.id);
                    return element("span", {}, made, list);
                }
                return made;
            };
            if (condition.op !== "between") return [input(condition.value, set)];
            const pair = Array.isArray(condition.value) ? condition.value : ["", ""];
            return [
                input(pair[0], (value) => { pair[0] = value; set(pair); }),
                element("span", {}, this.texts.and),
                input(pair[1], (value) => { pair[1] = value; set(pair); }),
            ];
        }
    }

    for (const root of document.querySelectorAll(".filter-builder")) new Builder(root);

    // <button data-form-preview="url">: what the form says, POSTed as JSON; the answer, a fragment that our own
    // template made, is shown below it.
    document.addEventListener("click", async (event) => {
        const button = event.target.closest("button[data-form-preview]");
        if (!button) return;
        const place = document.getElementById("form-preview");
        const values = {};
        for (const field of button.form.elements) {
            if (!field.name || field.name.startsWith("_") || field.name === "csrftoken") continue;
            if (field.type === "checkbox") values[field.name] = field.checked;
            else if (field.multiple) values[field.name] = [...field.selectedOptions].map((one) => one.value);
            else values[field.name] = field.value;
        }
        button.disabled = true;
        button.classList.add("btn-loading");
        try {
            place.innerHTML = await rotina.post(button.dataset.formPreview, {
                form: values,
                pk: new URLSearchParams(window.location.search).get("pk"),
            });
        } catch (error) {
            const alert = element("div", { class: "alert alert-danger", role: "alert" }, error.message);
            place.replaceChildren(alert);
        }
        place.scrollIntoView({ block: "start" });
        button.disabled = false;
        button.classList.remove("btn-loading");
    });
})();
