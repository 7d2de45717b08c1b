"use strict";
(() => {
  const form = document.getElementById("search");
  const query = document.getElementById("query"), on = document.getElementById("on"), only = document.getElementById("only");
  const found = document.getElementById("found");
  const fold = (text) => text.normalize("NFKC").toLowerCase();

  // A table shows so many rows at first, so that a browser has little to lay out, and more of them by a button. The markup has
  // the others in a second body.
  const first = 25, step = 100;
  const tables = Array.from(document.querySelectorAll("table.rows"), (table) => {
    const box = table.parentElement, more = document.createElement("p"), text = document.createElement("span");
    more.className = "more";
    more.append(text);
    box.after(more);
    const t = {
      table, box, more, text,
      what: table.dataset.what,
      none: more.nextElementSibling,
      limit: first,
      wanted: null, // a row that a link leads to
      sorted: false,
      rows: Array.from(table.querySelectorAll("tbody tr"), (row) => ({ row, node: row.dataset.node, attention: "attention" in row.dataset, text: "", shown: true })),
    };
    for (const [label, rows] of [[`Show ${step} more`, step], ["Show all", Infinity]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `${label} ${t.what}`);
      button.addEventListener("click", () => {
        const shown = new Set(t.rows.filter((r) => r.shown));
        t.limit += rows;
        filter();
        const next = t.rows.find((r) => r.shown && !shown.has(r));
        if (next) next.row.focus();
      });
      more.append(button);
    }
    return t;
  });

  const number = (n) => n.toLocaleString("en");

  function filter() {
    const words = fold(query.value).split(/\s+/).filter(Boolean);
    const counts = [];
    for (const table of tables) {
      let matches = 0;
      const rows = [];
      for (const r of table.rows) {
        if (words.length && !r.text) r.text = fold(r.row.textContent);
        const match = (!only.checked || r.attention) && (!on.value || r.node === on.value) && words.every((word) => r.text.includes(word));
        if (match) matches++;
        const show = match && (matches <= table.limit || r.row === table.wanted);
        if (show) rows.push(r.row);
        if (show !== r.shown) r.row.hidden = !(r.shown = show);
      }
      if (table.sorted) table.table.tBodies[0].prepend(...rows); // the others are hidden, in any order
      table.box.hidden = !matches;
      table.none.hidden = matches > 0;
      table.more.hidden = matches <= table.limit;
      table.text.textContent = `The first ${number(table.limit)} of ${number(matches)} ${table.what} are shown.`;
      table.table.dataset.ready = "";
      counts.push(matches === table.rows.length ? `${number(matches)} ${table.what}` : `${number(matches)} of ${number(table.rows.length)} ${table.what}`);
    }
    found.textContent = "Found: " + counts.join(", ");
  }

  // What was asked for before no longer counts.
  function search() {
    for (const table of tables) {
      table.limit = first;
      table.wanted = null;
    }
    filter();
  }

  // One pass for all that changes before the next frame.
  let waiting = false;
  function soon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; search(); });
  }

  function show(text, attention) {
    query.value = text;
    only.checked = attention;
    on.value = "";
    search();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { search(); query.focus(); }));
  for (const control of [query, on, only]) control.addEventListener("input", soon);

  // A link to something that the search hides shows it again.
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='#']");
    if (!link) return;
    if (link.dataset.query !== undefined) show(link.dataset.query, link.dataset.only === "1");
    else reveal(decodeURIComponent(link.hash.slice(1)));
  });
  function reveal(name) {
    const target = document.getElementById(name), table = target && tables.find((t) => t.table.contains(target));
    if (table && target.hidden) {
      show("", false);
      table.wanted = target;
      filter();
    }
    return target;
  }
  function arrive() {
    const target = location.hash && reveal(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tabIndex === -1) target.focus({ preventScroll: false });
  }
  addEventListener("hashchange", arrive);

  // Columns can be put in order.
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  for (const table of tables) {
    const heads = Array.from(table.table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        for (const r of table.rows) r.value = r.row.cells[column].dataset.value ?? r.row.cells[column].textContent.trim();
        table.rows.sort((a, b) => (down ? -1 : 1) * compare(a.value, b.value));
        table.sorted = true;
        filter();
      });
    });
  }

  form.hidden = false;
  filter();
  arrive();
})();
