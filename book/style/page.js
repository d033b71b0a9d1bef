// What mdBook's pages lack for who reads them without a mouse: a way past the table of contents,
// a button for it that Tab finds, and arrow keys that scroll a wide table instead of turning the page.
"use strict";
(() => {
    const content = document.getElementById("mdbook-content");
    if (!content || location.pathname.endsWith("/print.html")) return;

    const skip = document.createElement("a");
    skip.className = "skip";
    skip.href = `#${content.id}`;
    skip.textContent = "Skip to the text";
    content.tabIndex = -1; // so that the focus goes there too, not only the view
    document.body.prepend(skip);
    // mdBook scrolls the table of contents to the page's entry. In some browsers, such as Chromium
    // 148, Tab then starts from that entry. A moment's focus on the body makes Tab start at the top.
    if (!location.hash) {
        document.body.tabIndex = -1;
        document.body.focus({ preventScroll: true });
        document.body.blur();
        document.body.removeAttribute("tabindex");
    }

    // It is the label of a hidden checkbox: no key reaches either of them.
    const contents = document.getElementById("mdbook-sidebar-toggle");
    contents.setAttribute("role", "button");
    contents.tabIndex = 0;
    contents.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        contents.click();
    });

    // mdBook listens at the document, further out.
    content.addEventListener("keydown", (event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        for (let at = event.target; at !== content; at = at.parentElement) {
            const scrolls = /auto|scroll/.test(getComputedStyle(at).overflowX) && at.scrollWidth > at.clientWidth;
            if (scrolls) event.stopPropagation();
        }
    });

    // An option, such as --full, does not break between its hyphens or behind them.
    content.querySelectorAll(":not(pre) > code").forEach((code) => {
        if (code.childElementCount || !/(^|\s)-/.test(code.textContent)) return;
        code.replaceChildren(...code.textContent.split(/(\s+)/).map((word) => {
            if (!/^-.{0,21}$/.test(word)) return word;
            const option = document.createElement("span");
            option.className = "option";
            option.textContent = word;
            return option;
        }));
    });

    // A table that goes on to the right says so, as a listing does; a cell's padding is nothing to see.
    const edge = (table) => {
        table.classList.toggle("more", table.scrollWidth - table.clientWidth - table.scrollLeft > 8);
    };
    const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => edge(target)));
    content.querySelectorAll(".table-wrapper").forEach((table) => sizes.observe(table));
    content.addEventListener("scroll", ({ target }) => {
        if (target.classList?.contains("table-wrapper")) edge(target);
    }, { capture: true, passive: true });
})();
