
"use strict";
// A click zooms to a box; one on an outer box goes back there. Ctrl-F marks the boxes whose names match.
const WIDTH = 1200, CHARACTER = 6.7, MARGIN = 3, EPSILON = 1e-6;
const boxes = [...document.querySelectorAll("g[data-x]")].map(element => ({
    element,
    rect: element.querySelector("rect"),
    text: element.querySelector("text"),
    from: Number(element.dataset.x),
    part: Number(element.dataset.w),
    name: element.dataset.n,
}));

function fit(name, width) {
    const room = Math.floor((width - 2 * MARGIN) / CHARACTER);
    if (room < 3) return "";
    return name.length <= room ? name : name.slice(0, room - 1) + "…";
}

function zoom(to) {
    const row = Number(to.rect.getAttribute("y"));
    for (const box of boxes) {
        const isAbove = Number(box.rect.getAttribute("y")) < row;
        const isAround = isAbove && box.from <= to.from + EPSILON
            && box.from + box.part >= to.from + to.part - EPSILON;
        const x = isAround ? 0 : (box.from - to.from) / to.part * WIDTH;
        const width = isAround ? WIDTH : box.part / to.part * WIDTH;
        const isSeen = isAround || !isAbove && x > -EPSILON * WIDTH && x + width < WIDTH * (1 + 1e-3);
        box.element.style.display = isSeen ? "" : "none";
        box.element.classList.toggle("around", isAround);
        if (!isSeen) continue;
        box.rect.setAttribute("x", x);
        box.rect.setAttribute("width", width);
        box.text.setAttribute("x", x + MARGIN);
        box.text.textContent = fit(box.name, width);
    }
}

function search() {
    const wanted = prompt("Names that match (regular expression):");
    if (wanted === null) return;
    let pattern;
    try {
        pattern = wanted === "" ? /$^/ : new RegExp(wanted, "i");
    } catch (error) {
        document.getElementById("found").textContent = error.message;
        return;
    }
    const marked = [];
    for (const box of boxes) {
        const isFound = pattern.test(box.name);
        box.element.classList.toggle("found", isFound);
        // What lies within a box that is marked is in its time already.
        const isWithin = other => other.from <= box.from + EPSILON
            && other.from + other.part >= box.from + box.part - EPSILON;
        if (isFound && !marked.some(isWithin)) marked.push(box);
    }
    const part = marked.reduce((sum, box) => sum + box.part, 0);
    document.getElementById("found").textContent =
        wanted === "" ? "" : `${wanted}: ${(100 * part).toFixed(1)} %`;
}

for (const box of boxes) box.element.addEventListener("click", () => zoom(box));
addEventListener("keydown", event => {
    if (event.key === "f" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        search();
    }
});
