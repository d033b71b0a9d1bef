// The lab in the page. Each <div class="measured" data-experiment="…" data-part="…"> is what the
// book has recorded; around it this puts a prediction to make first, and a button to measure the
// same on the reader's own machine. It talks to the server of the book (app/live/). Where that is
// another one, or no script runs, the recorded figures and their commands are the book.
"use strict";
(() => {
    const measured = [...document.querySelectorAll(".measured[data-experiment]")];
    if (measured.length === 0 || location.pathname.endsWith("/print.html")) return;
    // This file is in style/, below the book's root.
    const root = new URL("../", document.currentScript.src);
    let token = "";

    // ---- Small helpers ----------------------------------------------------

    const make = (name, attributes = {}, ...children) => {
        const element = document.createElement(name);
        for (const [key, value] of Object.entries(attributes)) {
            if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
            else if (typeof value === "boolean") element.toggleAttribute(key, value);
            else element.setAttribute(key, value);
        }
        element.append(...children);
        return element;
    };
    const show = (element, visible) => { element.hidden = !visible; };
    const code = (text) => make("code", {}, text);
    const withCode = (text) => text.split("`").map((piece, at) => (at % 2 ? code(piece) : piece));
    const number = (value) => Number(value.toPrecision(3)).toLocaleString("en-GB");

    /// Asks the server. Null means: nothing to be had; a failure throws, with why.
    const ask = async (path, body) => {
        const options = body === undefined ? {} : {
            method: "POST",
            headers: { "Content-Type": "application/json", "X-Lab-Token": token },
            body: JSON.stringify(body),
        };
        // Each browser has words of its own for this.
        const answer = await fetch(new URL(`lab/${path}`, root), { cache: "no-store", ...options })
            .catch(() => { throw new Error("the book’s server does not answer; cargo run --release starts it again"); });
        if (answer.status === 204) return null;
        const content = await answer.json();
        if (!answer.ok) throw new Error(content.why);
        return content;
    };

    // What was predicted is kept by the browser too: it may be all that there is.
    const kept = {
        get(name) {
            try { return JSON.parse(localStorage.getItem(`lab ${name}`)); } catch { return null; }
        },
        set(name, value) {
            try { localStorage.setItem(`lab ${name}`, JSON.stringify(value)); } catch { /* private windows may not */ }
        },
    };

    // ---- Forms of a prediction --------------------------------------------
    // Each has an element to fill in, `answer()` (null: nothing yet) and a way to say it in words.

    const forms = {
        choice({ options }, name) {
            const choices = options.map((option, at) => make("label", {},
                make("input", { type: "radio", name: `lab-${name}`, value: String(at) }), ` ${option}`));
            const element = make("div", { class: "lab-choices" }, ...choices);
            return {
                element,
                answer: () => {
                    const chosen = element.querySelector(":checked");
                    return chosen && { choice: Number(chosen.value) };
                },
            };
        },
        number({ unit }, name, ask) {
            const input = make("input", { type: "number", step: "any", "aria-label": `${ask} In ${unit}` });
            const element = make("div", { class: "lab-number" }, input, ` ${unit}`);
            return { element, answer: () => (input.value === "" ? null : { number: Number(input.value) }) };
        },
        curve(_, name) {
            const element = make("div", { class: "lab-curve" }, "The chart’s axes are on their way…");
            const curve = { element, answer: () => null };
            ask(`blank/${name}.json`).then((blank) => {
                if (blank) drawInto(curve, blank.svg);
                else element.textContent = "There are no axes to draw into; say it aloud, then look.";
            }, (error) => { element.textContent = error.message; });
            return curve;
        },
    };
    // What was kept may answer an earlier question.
    const fits = ({ form, options }, given) => {
        if (!given || typeof given !== "object") return false;
        if (given.skipped) return true;
        const { choice, number: value, curve } = given.prediction ?? {};
        if (form === "choice") return options[choice] !== undefined;
        if (form === "number") return Number.isFinite(value);
        return Array.isArray(curve) && curve.every((point) => Array.isArray(point) && point.every(Number.isFinite));
    };

    // ---- Curves -----------------------------------------------------------

    // Where a chart's points lie: its SVG says where the plot is, and the powers of ten at its ends.
    const plane = (svg) => {
        if (!svg || !svg.dataset.plot) return null;
        const [left, top, right, bottom] = svg.dataset.plot.split(" ").map(Number);
        const axis = (text, from, to) => {
            const [low, high, zero] = text.split(" ");
            const [a, b] = [Number(low), Number(high)];
            return {
                marks: Array.from({ length: b - a + 1 }, (_, n) => (zero && n === 0 ? 0 : 10 ** (a + n))),
                least: 10 ** a, most: 10 ** b,
                at: (value) => from + (to - from) * ((value > 0 ? Math.max(Math.log10(value), a) : a) - a) / (b - a),
                value: (at) => 10 ** (a + (b - a) * Math.min(Math.max((at - from) / (to - from), 0), 1)),
            };
        };
        return { x: axis(svg.dataset.x, left, right), y: axis(svg.dataset.y, bottom, top) };
    };
    const svgElement = (name, attributes) => {
        const element = document.createElementNS("http://www.w3.org/2000/svg", name);
        for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
        return element;
    };
    const line = (points, { x, y }) => "M" + points.map(([a, b]) => `${x.at(a).toFixed(1)} ${y.at(b).toFixed(1)}`).join("L");

    // The reader's line is called "you", where it begins: the others have their names at their ends.
    const label = (points, { x, y }) => {
        const [at, value] = points[0];
        const text = svgElement("text", { class: "you small", x: x.at(at) + 6, y: y.at(value) - 10 });
        text.textContent = "you";
        return text;
    };

    const drawInto = (curve, text) => {
        const figure = make("figure");
        figure.innerHTML = text;
        const sheets = [...figure.querySelectorAll("svg")].map((svg) => ({ svg, plane: plane(svg) }));
        if (sheets.length === 0 || !sheets[0].plane) return;
        const { marks } = sheets[0].plane.x, { least, most } = sheets[0].plane.y;
        const points = marks.map((x) => [x, Math.sqrt(least * most)]);
        let touched = false;
        const redraws = [];
        const set = (at, value) => {
            points[at][1] = Math.min(Math.max(value, least), most);
            touched = true;
            redraws.forEach((redraw) => redraw());
        };
        for (const { svg, plane: { x, y } } of sheets) {
            // The picture is for the eye; what can be changed in it, for everybody.
            for (const attribute of ["role", "aria-labelledby", "aria-describedby"]) svg.removeAttribute(attribute);
            const path = svgElement("path", { class: "predicted" });
            const name = label(points, { x, y });
            svg.append(path);
            // A chart without lines begins with what its y axis is called, and ends with x's.
            const words = svg.querySelectorAll("text");
            const [unit, where] = [words[0], words[words.length - 1]].map((word) => word.textContent);
            const handles = points.map(([at], n) => {
                const handle = svgElement("circle", {
                    class: "handle", r: 8, cx: x.at(at), tabindex: 0, role: "slider", "aria-orientation": "vertical",
                    "aria-label": `${where}: ${number(at)}`, "aria-valuemin": least, "aria-valuemax": most,
                });
                handle.addEventListener("keydown", (event) => {
                    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity }[event.key];
                    if (steps === undefined) return;
                    event.preventDefault(); // nor does the page turn
                    event.stopPropagation();
                    set(n, points[n][1] * 10 ** (steps / 10));
                });
                return handle;
            });
            svg.append(name, ...handles);
            redraws.push(() => {
                path.setAttribute("d", line(points, { x, y }));
                name.setAttribute("y", y.at(points[0][1]) - 10);
                handles.forEach((handle, n) => {
                    handle.setAttribute("cy", y.at(points[n][1]));
                    handle.setAttribute("aria-valuenow", Number(points[n][1].toPrecision(3)));
                    handle.setAttribute("aria-valuetext", `${number(points[n][1])} ${unit}`);
                });
            });
            // Press anywhere and draw: the nearest mark takes the height.
            const draw = (event) => {
                const to = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
                const distances = marks.map((mark) => Math.abs(x.at(mark) - to.x));
                set(distances.indexOf(Math.min(...distances)), y.value(to.y));
            };
            svg.addEventListener("pointerdown", (event) => {
                svg.setPointerCapture(event.pointerId);
                draw(event);
            });
            svg.addEventListener("pointermove", (event) => { if (event.buttons & 1) draw(event); });
        }
        redraws.forEach((redraw) => redraw());
        curve.element.replaceChildren(
            make("p", { class: "lab-hint" }, "Draw with the pointer, or move each point with the arrow keys."), figure);
        curve.answer = () => (touched ? { curve: points } : null);
    };

    // ---- One experiment on this page --------------------------------------

    const experiment = (name, about, state) => {
        const parts = measured.filter((element) => element.dataset.experiment === name);
        const own = new Map(parts.map((element) => {
            const place = make("div", { class: "lab-own", "data-of": element.dataset.part, hidden: true });
            element.after(place);
            return [element.dataset.part, place];
        }));
        const command = `cargo run --release -- lab ${name}`;
        let given = [state.predictions?.[name], kept.get(name)].find((one) => fits(about.predict, one)) ?? null;
        let verdict = "";
        let number = null; // of the run that is followed

        // What is predicted comes before what is seen.
        const form = forms[about.predict.form](about.predict, name, about.predict.ask);
        const missing = make("p", { class: "lab-missing", role: "alert" });
        const asking = make("form", { class: "lab-predict", novalidate: true, "aria-label": `Predict: ${name}` },
            make("fieldset", {}, make("legend", {}, about.predict.ask), form.element), missing,
            make("p", { class: "lab-buttons" },
                make("button", { type: "submit", class: "lab-main" }, "Keep my prediction"),
                make("button", { type: "button", onclick: () => decide({ skipped: true }) }, "Show the figure")),
            make("p", { class: "lab-hint" }, "The figure, and what the page says about it, come when you have decided."));
        asking.addEventListener("submit", (event) => {
            event.preventDefault();
            const prediction = form.answer();
            if (!prediction) {
                missing.textContent = "Decide first, or show the figure without a prediction.";
                return;
            }
            decide({ prediction, when: new Date().toISOString() });
        });
        // Where the page asks, or where a curve will be seen. What stands before that may stay in sight.
        // A plain book asks the same itself, with the answer behind a click: here that comes after.
        const told = document.querySelector(`details.predict[data-lab="${name}"]`);
        const asks = (element) => (told
            ? told.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING
            : element.dataset.part === about.predict.chart);
        const from = Math.max(parts.findIndex(asks), 0);
        const first = parts[from];
        (told ?? first).before(asking);

        const decide = (decided) => {
            verdict = "";
            missing.textContent = "";
            given = decided;
            kept.set(name, given);
            tell();
            seen();
            if (told) told.querySelector("summary").focus();
            else panel.focus();
        };
        const tell = async () => {
            if (!given?.prediction) return load();
            try {
                ({ verdict } = await ask("predictions", { experiment: name, ...given }));
                await load();
                compare();
            } catch (error) {
                say(`The prediction is kept in this browser only: ${error.message}.`);
            }
        };

        // The run.
        const bar = make("progress", { "aria-label": `Progress of ${name}`, hidden: true });
        const step = make("p", { class: "lab-step", hidden: true });
        const status = make("p", { class: "lab-status", role: "status" });
        const say = (text) => { status.textContent = text; };
        const compared = make("div", { class: "lab-compared" });
        const run = make("button", { type: "button", class: "lab-main", onclick: () => start() }, "Run on this machine");
        const stop = make("button", { type: "button", hidden: true, onclick: () => ask("stop", { run: number }).catch((error) => say(`Not stopped: ${error.message}.`)) }, "Stop");
        const how = make("p", { class: "lab-how" });
        const panel = make("section", { class: "lab-run", tabindex: "-1", "aria-label": `Your machine: ${name}` },
            how, make("p", { class: "lab-buttons" }, run, stop), bar, step, status, compared);
        if (about.from_page) how.append(...withCode(about.question), " A quick run takes less than half a minute; ", code(`${command} --full`), " measures as much as the book shows.");
        else {
            how.append(...withCode(about.question), " This one is for a terminal: ", code(command));
            show(run, false);
        }
        first.after(panel);

        const seen = () => {
            const may = Boolean(given);
            show(asking, !may);
            parts.slice(from).forEach((element) => show(element, may));
            if (told) {
                show(told, may);
                told.open = may; // what stands behind it comes and goes with it
            }
            show(panel, may);
            own.forEach((place) => show(place, may && place.hasChildNodes()));
            compare();
        };

        // What was measured here, in the place of its part.
        const figures = new Map(), tables = new Map();
        const place = (part) => {
            const at = own.get(part);
            if (!at) return null;
            if (!at.hasChildNodes()) at.append(make("p", { class: "lab-title" }, "Your machine"));
            show(at, Boolean(given));
            return at;
        };
        const slot = (all, part, name, attributes) => {
            if (!all.has(part) && place(part)) {
                all.set(part, make(name, attributes));
                own.get(part).append(all.get(part));
            }
            return all.get(part);
        };
        const figure = (part) => slot(figures, part, "figure");
        const wrapper = (part) => slot(tables, part, "div", { class: "table-wrapper" });
        const chart = (part, svg) => {
            if (!figure(part)) return;
            figure(part).innerHTML = svg;
            overlay(part);
        };
        const table = (part, html) => {
            if (!wrapper(part)) return;
            wrapper(part).innerHTML = html;
            wrapper(part).dispatchEvent(new Event("scroll")); // page.js looks whether it goes on
        };
        // When a run begins there is room for what it will bring, as much as what was recorded takes
        // up: nothing that is being read moves when it comes.
        const reserve = () => {
            for (const element of parts) {
                const { part } = element.dataset;
                const height = (inside) => [...element.querySelectorAll(inside)].reduce((sum, one) => sum + one.getBoundingClientRect().height, 0);
                if (element.querySelector("figure")) figure(part).style.minHeight = `${height("figure svg")}px`;
                wrapper(part).style.minHeight = `${height(".table-wrapper")}px`;
            }
            const points = given?.prediction?.curve?.length;
            compared.style.minHeight = `calc(${compared.offsetHeight}px + ${points ? 8 + 3 * points : 5}em)`;
        };
        // What a quick run has not measured has no place.
        const release = () => own.forEach((at, part) => {
            const filled = figures.get(part)?.hasChildNodes() || tables.get(part)?.hasChildNodes();
            if (!filled) show(at, false);
        });
        const overlay = (part) => {
            const curve = given?.prediction?.curve;
            if (!curve || about.predict.chart !== part) return;
            for (const svg of figures.get(part).querySelectorAll("svg")) {
                const at = plane(svg);
                if (at) svg.append(svgElement("path", { class: "predicted", d: line(curve, at) }), label(curve, at));
            }
        };
        // The server lays the prediction beside the result, here as in the report.
        const compare = () => {
            compared.innerHTML = verdict;
            if (!given) return;
            const again = make("button", { type: "button", class: "lab-link", onclick: () => {
                given = null;
                seen();
                // Of the two sizes of a chart only one is there.
                [...asking.querySelectorAll("input, [tabindex='0']")].find((one) => one.getClientRects().length > 0)?.focus();
            } }, given.prediction ? "Predict again" : "Predict after all");
            compared.append(make("p", {}, again));
        };

        // Following a run: also one that another page has begun, or this one before it was loaded again.
        let quarter = -1;
        const busy = (is, stays = is) => {
            const [goes, comes] = is ? [run, stop] : [stop, run];
            const held = document.activeElement === goes;
            show(run, !is && about.from_page);
            show(stop, is);
            if (held) comes.focus(); // who came with the keyboard stays here
            show(bar, stays);
            show(step, stays);
            busyElsewhere(name, is);
        };
        const follow = (run) => {
            number = run;
            busy(true);
            bar.removeAttribute("value");
            quarter = -1;
            const events = new EventSource(new URL("lab/events", root));
            const on = (kind, act) => events.addEventListener(kind, (event) => {
                // An entry's id begins with its run: this one may be over, and another under way.
                if (event.lastEventId.startsWith(`${run}.`)) act(JSON.parse(event.data));
                else missed();
            });
            const missed = () => {
                over("The run is over, and another was begun since.");
                load();
            };
            const over = (text, stays = false) => {
                events.close();
                busy(false, stays);
                release();
                say(text);
            };
            on("step", ({ done, of, what }) => {
                bar.max = of;
                bar.value = done;
                step.textContent = `${done + 1} of ${of}: ${what}`;
                // A screen reader need not hear each of forty.
                const now = Math.floor(4 * done / of);
                if (now > quarter) say(now === 0 ? "Measuring…" : `Measuring: ${25 * now} per cent done.`);
                quarter = now;
            });
            on("chart", ({ name: part, svg }) => chart(part, svg));
            on("table", ({ name: part, html }) => table(part, html));
            on("done", async ({ result }) => {
                events.close();
                await load(); // it has the verdict, too
                bar.value = bar.max;
                step.textContent = "";
                const notes = (result?.notes ?? []).map((note) => ` Note: ${note}.`).join("");
                over(`Done. Your figures are below; they are kept in target/lab.${notes}`, true);
            });
            on("failed", ({ why }) => over(`No result: ${why}.`));
            events.onopen = () => { if (quarter < 0) say("Measuring…"); };
            events.onerror = () => {
                if (events.readyState !== EventSource.CLOSED) {
                    // The browser tries again by itself; if it finds the run, it goes on.
                    say("The book’s server does not answer. If it was stopped, the run has ended with it: start it again with cargo run --release.");
                    show(bar, false);
                    show(step, false);
                    return;
                }
                over("The run is over, and its result did not come through.");
                load();
            };
        };
        const start = async () => {
            say("Starting…");
            show(bar, true);
            show(step, true);
            reserve();
            try {
                follow((await ask("run", { experiment: name })).run);
            } catch (error) {
                busy(false);
                release();
                say(`Not started: ${error.message}.`);
            }
        };
        const load = async () => {
            const last = await ask(`results/${name}.json`).catch((error) => say(`No figures: ${error.message}.`));
            if (!last) return;
            verdict = last.verdict;
            last.charts.forEach(([part, svg]) => chart(part, svg));
            last.tables.forEach(([part, html]) => table(part, html));
            run.textContent = "Run again";
            compare();
        };

        seen();
        if (state.running === name) follow(state.run);
        // What only the browser has kept, the server is told: it lays it beside the result.
        else if (state.predictions?.[name]) load();
        else tell();
        return { run };
    };

    // One at a time: the others say so before they are asked.
    const all = new Map();
    const busyElsewhere = (name, is) => all.forEach(({ run }, other) => { if (other !== name) run.disabled = is; });

    const closed = (why) => {
        for (const name of new Set(measured.map((element) => element.dataset.experiment))) {
            const first = measured.find((element) => element.dataset.experiment === name);
            const told = make("p", { class: "lab-status", role: "status" });
            first.after(make("section", { class: "lab-run", "aria-label": `Your machine: ${name}` },
                make("p", { class: "lab-buttons" }, make("button", { type: "button", class: "lab-main", onclick: () => {
                    told.replaceChildren(why, " In a terminal, at the top of the repository: ", code(`cargo run --release -- lab ${name}`));
                } }, "Run on this machine")), told));
        }
    };

    const begin = async () => {
        const files = "These pages come as files, from no server that could measure. Where cargo run --release serves the book, this button measures.";
        if (location.protocol === "file:") return closed(files);
        // Who frames this page could have its buttons pressed by a reader who does not see them.
        if (window.top !== window) return closed("This page is shown inside another one. Opened by itself, it measures.");
        let state;
        try {
            state = await ask("state");
        } catch {
            return closed(files);
        }
        if (!state || state.closed) return closed(state?.closed || files);
        token = state.token;
        for (const name of new Set(measured.map((element) => element.dataset.experiment))) {
            const about = state.experiments[name];
            if (!about) continue;
            try {
                all.set(name, experiment(name, about, state));
            } catch (error) {
                console.error(name, error); // the others have their lab all the same
            }
        }
        if (all.has(state.running)) busyElsewhere(state.running, true); // else the server will say so
    };
    begin();
})();
