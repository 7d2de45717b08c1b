"use strict";
(() => {
  const form = document.getElementById("search");
  const query = document.getElementById("query"), on = document.getElementById("on"), only = document.getElementById("only");
  const found = document.getElementById("found");
  const fold = (text) => text.normalize("NFKC").toLowerCase();

  const tables = Array.from(document.querySelectorAll("table.rows"), (table) => ({
    what: table.dataset.what,
    box: table.parentElement,
    none: table.parentElement.nextElementSibling,
    rows: Array.from(table.tBodies[0].rows, (row) => ({ row, node: row.dataset.node, attention: "attention" in row.dataset, text: "", shown: true })),
  }));

  function filter() {
    const words = fold(query.value).split(/\s+/).filter(Boolean);
    const counts = [];
    for (const table of tables) {
      let shown = 0;
      for (const r of table.rows) {
        if (words.length && !r.text) r.text = fold(r.row.textContent);
        const show = (!only.checked || r.attention) && (!on.value || r.node === on.value) && words.every((word) => r.text.includes(word));
        if (show) shown++;
        if (show !== r.shown) r.row.hidden = !(r.shown = show);
      }
      table.box.hidden = !shown;
      table.none.hidden = shown > 0;
      counts.push(shown === table.rows.length ? `${shown.toLocaleString("en")} ${table.what}` : `${shown.toLocaleString("en")} of ${table.rows.length.toLocaleString("en")} ${table.what}`);
    }
    found.textContent = "Shown: " + counts.join(", ");
  }

  // One pass for all that changes before the next frame.
  let waiting = false;
  function soon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; filter(); });
  }

  function show(text, attention) {
    query.value = text;
    only.checked = attention;
    on.value = "";
    filter();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { filter(); query.focus(); }));
  for (const control of [query, on, only]) control.addEventListener("input", soon);

  // A link to something that the search hides shows it again.
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='#']");
    if (!link) return;
    if (link.dataset.query !== undefined) show(link.dataset.query, link.dataset.only === "1");
    else reveal(decodeURIComponent(link.hash.slice(1)));
  });
  function reveal(name) {
    const target = document.getElementById(name);
    if (target && target.closest("[hidden]") && target.closest("table.rows")) show("", false);
    return target;
  }
  function arrive() {
    const target = location.hash && reveal(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tabIndex === -1) target.focus({ preventScroll: false });
  }
  addEventListener("hashchange", arrive);

  // Columns can be put in order.
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  for (const table of document.querySelectorAll("table.rows")) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const rows = Array.from(table.tBodies[0].rows, (row) => ({ row, value: value(row) }));
        rows.sort((a, b) => (down ? -1 : 1) * compare(a.value, b.value));
        table.tBodies[0].append(...rows.map((r) => r.row));
      });
    });
  }

  form.hidden = false;
  filter();
  arrive();
})();
