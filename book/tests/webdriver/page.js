// Looks at the page as a reader would, and returns what is wrong with it, a line each.
const found = [];
const name = (e) => {
    const of = (e.getAttribute("class") || "").trim().replace(/\s+/g, ".");
    return e.tagName.toLowerCase() + (of && "." + of) + " " + JSON.stringify(e.textContent.trim().slice(0, 40));
};

// Nothing reaches beyond the window, except inside a box that scrolls on its own.
const width = document.documentElement.clientWidth;
const main = document.querySelector("main");
const scrolls = (e) => {
    for (let up = e.parentElement; up && up !== main; up = up.parentElement) {
        if (getComputedStyle(up).overflowX !== "visible") return true;
    }
    return false;
};
if (document.scrollingElement.scrollWidth > width) found.push("the page is wider than the window");
for (const e of main.querySelectorAll("*")) {
    const box = e.getBoundingClientRect();
    if (box.width > 0 && box.right > width + 1 && !scrolls(e)) {
        found.push(`${name(e)} reaches ${Math.round(box.right - width)} px beyond the window`);
    }
}

// Figures: words large enough, inside their figure, on nobody else's, and in
// enough contrast to what is under them (WCAG: 4.5); lines and forms too (WCAG: 3).
// A page has few colours and thousands of elements, so what is computed is kept.
const kept = (compute) => {
    const all = new Map();
    return (key) => all.get(key) ?? (all.set(key, compute(key)), all.get(key));
};
const colour = kept((text) => (text.match(/[\d.]+/g) || [0, 0, 0]).map(Number));
const luminance = kept((text) => {
    const [r, g, b] = colour(text).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
});
const contrast = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
};
const page = getComputedStyle(document.documentElement).backgroundColor;
// All words outside of figures, those of the menu and the table of contents too.
const clear = (ground) => colour(ground)[3] === 0;
const ground = kept((e) => {
    const own = getComputedStyle(e).backgroundColor;
    if (!clear(own)) return own;
    return e.parentElement ? ground(e.parentElement) : page;
});
for (const e of document.body.querySelectorAll("*:not(svg *)")) {
    const words = [...e.childNodes].some((one) => one.nodeType === Node.TEXT_NODE && one.data.trim() !== "");
    if (!words || e.matches(":disabled, script, style, noscript") || !e.checkVisibility()) continue;
    const ratio = contrast(getComputedStyle(e).color, ground(e));
    if (ratio < 4.5) found.push(`${name(e)} has a contrast of only ${ratio.toFixed(1)}`);
}
// A link in a text is told from the words beside it by more than its colour.
for (const e of main.querySelectorAll("a[href]:not(.header)")) {
    if (!getComputedStyle(e).textDecorationLine.includes("underline")) found.push(`${name(e)} is a link by its colour only`);
}
// A screen reader says a column's name before each cell.
for (const e of main.querySelectorAll("th")) {
    if (e.textContent.trim() === "") found.push(`a column of ${name(e.closest("table"))} has no name`);
}
// Headings go down one level at a time.
[...main.querySelectorAll("h1, h2, h3, h4, h5, h6")].reduce((level, e) => {
    const own = Number(e.tagName[1]);
    if (own > level + 1) found.push(`${name(e)} skips a level`);
    return own;
}, 0);
for (const svg of main.querySelectorAll("figure svg")) {
    const frame = svg.getBoundingClientRect();
    if (frame.width === 0) continue;
    const scale = svg.getScreenCTM().a;
    // A guide helps to read a chart, and who does not see it has lost nothing.
    for (const e of svg.querySelectorAll("path:not(.guide), rect, line, circle")) {
        const { stroke, fill } = getComputedStyle(e);
        const ratio = contrast(stroke === "none" ? fill : stroke, page);
        if (ratio < 3) found.push(`${name(e)} has a contrast of only ${ratio.toFixed(1)}`);
    }
    const words = [...svg.querySelectorAll("text")];
    const boxes = words.map((e) => e.getBoundingClientRect());
    words.forEach((e, i) => {
        const style = getComputedStyle(e), box = boxes[i];
        const size = parseFloat(style.fontSize) * scale;
        if (size < 11) found.push(`${name(e)} is only ${size.toFixed(1)} px high`);
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
            found.push(`${name(e)} sticks out of its figure`);
        }
        boxes.slice(i + 1).forEach((other, j) => {
            const over = Math.min(box.right, other.right) - Math.max(box.left, other.left);
            const high = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
            if (over > 2 && high > 4) found.push(`${name(e)} and ${name(words[i + 1 + j])} overlap`);
        });
        const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
        const under = [...svg.querySelectorAll("rect")].filter((r) => {
            const b = r.getBoundingClientRect();
            return b.left < x && x < b.right && b.top < y && y < b.bottom && getComputedStyle(r).fill !== "none";
        });
        const behind = under.length ? getComputedStyle(under.at(-1)).fill : page;
        const ratio = contrast(style.fill, behind);
        if (ratio < 4.5) found.push(`${name(e)} has a contrast of only ${ratio.toFixed(1)}`);
    });
}
return found;
