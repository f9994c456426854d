// The page of the gateways: its charts, and the dialog that pauses one.
"use strict";

(function () {
    const texts = window.gatewayTexts;
    const SVG = "http://www.w3.org/2000/svg";
    const HEIGHT = 64;

    function drawn(tag, attributes, parent) {
        const made = document.createElementNS(SVG, tag);
        for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
        parent.append(made);
        return made;
    }

    /** Bars of what was sent, and above them of what was not; the hours below. */
    function draw(place, rates, since, seconds) {
        const most = Math.max(1, ...rates.sent.map((sent, at) => sent + rates.other[at]));
        const step = 8;
        const width = rates.sent.length * step;
        const hour = new Intl.DateTimeFormat(texts.locale, { hour: "2-digit", minute: "2-digit", timeZone: texts.zone });
        const number = new Intl.NumberFormat(texts.locale);
        const svg = drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" }, document.createDocumentFragment());
        const chart = document.createElement("div");
        rates.sent.forEach((sent, at) => {
            const other = rates.other[at];
            const begins = new Date(since.getTime() + at * seconds * 1000);
            const bar = drawn("g", {}, svg);
            drawn("title", {}, bar).textContent =
                `${hour.format(begins)}: ${number.format(sent)} ${texts.sent}` + (other ? `, ${number.format(other)} ${texts.other}` : "");
            drawn("rect", { x: at * step, y: 0, width: step, height: HEIGHT, class: "back" }, bar);
            const good = (sent / most) * HEIGHT;
            const bad = (other / most) * HEIGHT;
            if (sent) drawn("rect", { x: at * step + 1, y: HEIGHT - good, width: step - 2, height: good, class: "sent" }, bar);
            if (other) drawn("rect", { x: at * step + 1, y: HEIGHT - good - bad, width: step - 2, height: bad, class: "other" }, bar);
        });
        drawn("line", { x1: 0, x2: width, y1: HEIGHT, y2: HEIGHT, class: "ground" }, svg);
        const hours = document.createElement("div");
        hours.className = "rate-hours";
        for (let at = 0; at < rates.sent.length; at += 12) {
            const label = document.createElement("span");
            label.textContent = hour.format(new Date(since.getTime() + at * seconds * 1000));
            hours.append(label);
        }
        const scale = document.createElement("div");
        scale.className = "rotina-small rotina-muted";
        scale.textContent = texts.most.replace("%(count)s", number.format(most));
        chart.append(svg, hours, scale);
        svg.setAttribute("aria-label", scale.textContent);
        place.replaceChildren(chart);
    }

    async function load() {
        const places = document.querySelectorAll("[data-rates]");
        if (!places.length) return;
        let told;
        try {
            told = await rotina.get(texts.rates);
        } catch (error) {
            places.forEach((place) => (place.textContent = error.message));
            return;
        }
        const since = new Date(told.since);
        places.forEach((place) => {
            const rates = told.gateways[place.closest("[data-gateway]").dataset.gateway];
            if (rates) draw(place, rates, since, told.seconds);
            else place.textContent = texts.nothing;
        });
    }

    document.addEventListener("click", async (event) => {
        const button = event.target.closest("button[data-pause]");
        if (!button) return;
        const content = document.getElementById("pause-form").content.firstElementChild.cloneNode(true);
        const reason = content.querySelector("input");
        content.addEventListener("input", () => {
            content.dispatchEvent(new CustomEvent("ready", { detail: Boolean(reason.value.trim()), bubbles: true }));
        });
        const wanted = await rotina.confirm({
            title: button.dataset.title,
            content,
            button: texts.pause,
            danger: true,
            waits: true,
        });
        if (wanted) rotina.act(button, button.dataset.pause, { reason: reason.value });
    });

    load();
})();
