"use strict";
// Filters the grid, moves in it by keys, and opens cells. Text from results is only ever set as text, never as HTML.
(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const grid = $("#grid"), form = $("#filters"), dialog = $("#cell");

  /** Make an element: el("p", {class: "lead"}, "text", otherElement). */
  function el(name, attributes = {}, ...children) {
    return fill(document.createElement(name), attributes, children);
  }
  function svg(name, attributes = {}, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  }
  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }

  // State: what the hash says, e.g. #driver=psycopg&outcome=hang&cell=bare/closed_in_child/psycopg/postgresql/tcp

  const SETS = ["stack", "driver", "transport", "outcome", "odd"];
  let state = read();

  function read() {
    const hash = new URLSearchParams(location.hash.slice(1));
    const found = { q: hash.get("q") || "", cell: hash.get("cell") || "" };
    for (const name of SETS) found[name] = new Set((hash.get(name) || "").split(",").filter(Boolean));
    return found;
  }

  function hashOf(some) {
    const parts = SETS.filter((name) => some[name].size).map((name) => [name, [...some[name]].join(",")]);
    if (some.q) parts.push(["q", some.q]);
    if (some.cell) parts.push(["cell", some.cell]);
    return "#" + parts.map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%(2F|2C|2A)/g, decodeURIComponent)}`).join("&");
  }

  /** Show a state; push adds a step to the history, so that Back closes what was opened. */
  function go(changes, push = false) {
    state = { ...state, ...changes };
    const hash = hashOf(state), url = hash === "#" ? location.pathname + location.search : hash;
    if (push) history.pushState({ opened: true }, "", url);
    else history.replaceState(history.state, "", url);
    show();
  }

  function show() {
    showFilters();
    showCell();
  }

  // Filters.

  const columns = $$("thead tr:last-child th", grid).map((th) => ({ th, driver: th.dataset.driver, transport: th.dataset.transport }));
  const groups = $$("tbody[data-example]", grid).map((body) => ({
    body,
    example: body.dataset.example,
    rows: $$("tr[data-stack]", body).map((tr) => ({
      tr,
      stack: tr.dataset.stack,
      cells: $$("td", tr).map((td) => {
        const link = $("a", td);
        return link && { td, link, id: decodeURIComponent(link.hash.slice("#cell=".length)), outcome: $("span", link).textContent, odd: td.classList.contains("odd") };
      }),
    })),
  }));
  const all = groups.flatMap(({ rows }) => rows.flatMap(({ cells }) => cells.filter(Boolean)));
  const byId = new Map(all.map((cell) => [cell.id, cell]));
  let filtered = "";

  /** Say whether a cell's id fits what was typed: each word a part of it, or a pattern with * as --only takes it. */
  function matcher(text) {
    const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
      if (!word.includes("*")) return (id) => id.includes(word);
      const parts = word.split("/");
      const expression = parts.concat(Array(Math.max(0, 5 - parts.length)).fill("*"))
        .map((part) => part.split("*").map((piece) => piece.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join("[^/]*")).join("/");
      const whole = new RegExp(`^${expression}$`);
      return (id) => whole.test(id);
    });
    return (id) => tests.every((test) => test(id.toLowerCase()));
  }

  // What a search looks at besides ids: exceptions, causes, steps and what was sent, in lower case by id.

  let texts = null;

  async function readTexts() {
    const found = await data();
    const words = (cell) => {
      if (cell.broken !== undefined) return [found.texts[cell.broken]];
      const reason = found.reasons[cell.reason];
      const drawn = found.pool[cell.drawing].rows.text || [];
      return [cell.reason, reason?.sentence, found.texts[cell.note], ...cell.views.flatMap((view) => found.pool[view].errors),
        ...found.pool[cell.transcript].map(([text]) => found.texts[text]), ...drawn.map((text) => found.texts[text])];
    };
    texts = new Map(Object.entries(found.cells).map(([id, cell]) => [id, words(cell).filter(Boolean).join("\n").toLowerCase()]));
    filtered = "";
    showFilters();
  }

  /** Say whether a cell is looked for: by its id, or, if no id fits what was typed, by what it holds. */
  function searcher(text) {
    const byName = matcher(text);
    if (!text || all.some((cell) => byName(cell.id))) return byName;
    if (!texts) { readTexts(); return byName; }
    const typed = text.toLowerCase(), words = typed.split(/\s+/);
    const whole = all.some((cell) => texts.get(cell.id)?.includes(typed));
    return (id) => (whole ? texts.get(id)?.includes(typed) : words.every((word) => texts.get(id)?.includes(word)));
  }

  function showFilters() {
    for (const input of $$("input[type=checkbox]", form)) input.checked = state[input.name].has(input.value);
    if ($("#q").value !== state.q) $("#q").value = state.q;
    const key = hashOf({ ...state, cell: "" });
    if (key === filtered) return;
    filtered = key;
    const fits = (name, value) => !state[name].size || state[name].has(value);
    const wanted = searcher(state.q);
    const open = columns.map((column) => fits("driver", column.driver) && fits("transport", column.transport));
    const used = columns.map(() => false);
    let count = 0;
    for (const group of groups) {
      let any = false;
      for (const row of group.rows) {
        let shown = false;
        row.cells.forEach((cell, index) => {
          if (!cell) return;
          cell.on = open[index] && fits("stack", row.stack) && fits("outcome", cell.outcome) && (!state.odd.size || cell.odd) && wanted(cell.id);
          cell.td.classList.toggle("out", !cell.on);
          if (cell.on) { shown = used[index] = true; count += 1; }
        });
        row.tr.hidden = !shown;
        any ||= shown;
      }
      group.body.hidden = !any;
    }
    showColumns(used);
    for (const heading of $$("tbody.kind", grid)) {
      let next = heading.nextElementSibling;
      while (next && next.hidden) next = next.nextElementSibling;
      heading.hidden = !next || next.classList.contains("kind");
    }
    const active = Boolean(state.q) || SETS.some((name) => state[name].size);
    $("#count").textContent = active ? `${count} of ${all.length} cells` : `${all.length} cells`;
    $("#reset").hidden = !active;
    $("#nothing").hidden = count > 0;
    grid.hidden = count === 0;
    settleFocus();
    fit();
  }

  function showColumns(used) {
    const total = used.filter(Boolean).length;
    columns.forEach((column, index) => { column.th.hidden = !used[index]; });
    for (const { rows } of groups) for (const { tr } of rows) $$("td", tr).forEach((td, index) => { td.hidden = !used[index]; });
    let start = 0;
    for (const top of $$("thead th[scope=colgroup]", grid)) {
      const width = Number(top.dataset.width ||= top.colSpan);
      const left = used.slice(start, start + width).filter(Boolean).length;
      start += width;
      top.hidden = left === 0;
      top.colSpan = left || width;
    }
    for (const th of $$("th[scope=rowgroup]", grid)) th.colSpan = total + 1;
  }

  /** Leave the words out of the cells where they do not fit beside each other. */
  function fit() {
    grid.classList.remove("signs");
    grid.classList.toggle("signs", grid.offsetWidth > grid.parentElement.clientWidth);
  }

  function readForm() {
    const changes = { q: $("#q").value.trim() };
    for (const name of SETS) changes[name] = new Set($$(`input[name=${name}]:checked`, form).map((input) => input.value));
    go(changes);
  }

  // The keyboard in the grid: one cell is in the order of Tab, arrows move it.

  let current = null;

  function settleFocus() {
    const next = current?.on ? current : all.find((cell) => cell.on);
    setCurrent(next || null);
  }

  function setCurrent(cell) {
    if (current) current.link.tabIndex = -1;
    current = cell;
    if (cell) cell.link.tabIndex = 0;
  }

  function focusCell(cell) {
    if (!cell) return;
    setCurrent(cell);
    cell.link.focus({ preventScroll: true });
    const box = cell.td.getBoundingClientRect(), top = $("thead", grid).offsetHeight + 40;
    if (box.top < top) scrollBy(0, box.top - top);
    else cell.td.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function move(event) {
    if (!current || event.altKey || event.metaKey) return;
    const rows = groups.flatMap(({ example, rows: some }) => some.map((row) => ({ example, cells: row.cells }))).filter(({ cells }) => cells.some((cell) => cell?.on));
    const y = rows.findIndex(({ cells }) => cells.includes(current)), x = rows[y].cells.indexOf(current);
    const inRow = rows[y].cells.filter((cell) => cell?.on);
    const along = (from, step, stop = () => true) => {
      for (let row = from; rows[row]; row += step) if (rows[row].cells[x]?.on && stop(rows[row])) return rows[row].cells[x];
      return null;
    };
    const other = (row) => row.example !== rows[y].example;
    const targets = {
      ArrowRight: () => inRow[inRow.indexOf(current) + 1],
      ArrowLeft: () => inRow[inRow.indexOf(current) - 1],
      ArrowDown: () => along(y + 1, 1),
      ArrowUp: () => along(y - 1, -1),
      PageDown: () => along(y + 1, 1, other),
      PageUp: () => along(y - 1, -1, other),
      Home: () => (event.ctrlKey ? all.find((cell) => cell.on) : inRow[0]),
      End: () => (event.ctrlKey ? all.findLast((cell) => cell.on) : inRow.at(-1)),
    };
    const target = targets[event.key];
    if (!target) return;
    event.preventDefault();
    focusCell(target());
  }

  // Data: base64 of DEFLATE of JSON, unpacked when first needed; data.py has the other half.

  let unpacking = null;

  function data() {
    unpacking ||= unpack();
    return unpacking;
  }

  async function unpack() {
    const bytes = Uint8Array.from(atob($("#data").textContent.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
  }

  const ROW = { text: null, lane: "", at: null, session: null, began: null, wrong: false, how: null, sure: true, closes: false, reader: null, reply_to: null };
  const TEXTS = ["kind", "text", "lane", "session", "how", "reader", "reply_to"];

  /** Return a drawing with its rows as objects; matrix/records/lanes.py says what is in them. */
  function drawingOf({ rows, ...found }, all) {
    const columns = Object.entries(rows);
    let at = 0;
    return { ...found, rows: rows.kind ? rows.kind.map((_, i) => ({ ...ROW,
      ...Object.fromEntries(columns.map(([name, values]) => [name,
        name === "at" ? (at += values[i]) / 10 : TEXTS.includes(name) ? (values[i] === null ? null : all.texts[values[i]]) : values[i]])) })) : [] };
  }

  // An open cell.

  let shown = "";

  function close() {
    if (history.state?.opened) history.back();
    else go({ cell: "" });
  }

  async function showCell() {
    if (state.cell === shown) return;
    const before = shown;
    shown = state.cell;
    if (!shown) {
      dialog.close();
      focusCell(byId.get(before)?.on ? byId.get(before) : current);
      return;
    }
    const wanted = shown;
    let content;
    try {
      content = cellContent(wanted, await data());
    } catch (error) {
      console.error(error);
      content = frame(wanted, el("section", {}, el("p", {}, typeof DecompressionStream === "undefined" ? "This browser cannot unpack the report's data; a newer one can." : `This cell cannot be shown: ${error.message}`)));
    }
    if (wanted !== shown) return;
    dialog.replaceChildren(...content);
    dialog.scrollTop = 0;
    if (!dialog.open) dialog.showModal();
    $("h2", dialog).focus();
  }

  /** Return the id of the cell before or after another among those that the filters leave. */
  function beside(id, step) {
    const on = all.filter((cell) => cell.on || cell.id === id), at = on.findIndex((cell) => cell.id === id);
    return at < 0 ? null : on[at + step]?.id;
  }

  function neighbour(id, step, name) {
    const other = beside(id, step);
    return el("button", { type: "button", disabled: !other, "aria-keyshortcuts": step < 0 ? "p" : "n", onclick: () => go({ cell: other }) }, name);
  }

  /** Return a dialog's content: its head, and what is given. */
  function frame(id, ...sections) {
    const [stack, example, ...rest] = id.split("/");
    return [
      el("header", {},
        el("h2", { id: "cell-title", tabindex: -1 }, el("code", {}, example || id), el("small", {}, [stack, ...rest].join(" · "))),
        el("div", {}, neighbour(id, -1, "Previous"), neighbour(id, 1, "Next"), copyButton("Copy link", () => location.href), el("button", { type: "button", class: "close", onclick: close }, "Close"))),
      ...sections,
      el("p", { class: "unseen", role: "status", id: "said" }),
    ];
  }

  function cellContent(id, all) {
    const cell = all.cells[id];
    if (!cell) return frame(id, el("section", {}, el("p", {}, "This report has no such cell.")));
    const [stack, name] = id.split("/");
    const example = all.examples[`${stack}/${name}`];
    if (cell.broken !== undefined) {
      return frame(id, el("section", {}, el("p", { class: "lead" }, "This cell could not be judged: ", all.texts[cell.broken])), about(example));
    }
    const lines = all.pool[cell.transcript].map(([text, mark]) => ({ text: all.texts[text], mark }));
    return frame(id,
      verdict(id, cell, all),
      about(example),
      diagramSection(drawingOf(all.pool[cell.drawing], all)),
      viewsSection(cell, all),
      transcriptSection(lines),
      codeSection(id, example, all),
      versionsSection(all.pool[cell.versions]));
  }

  function verdict(id, cell, all) {
    const [sign, meaning] = all.outcomes[cell.outcome];
    const claimed = all.pool[cell.claimed], seen = Object.entries(all.pool[cell.seen]);
    const note = all.texts[cell.note];
    const claim = cell.outcome === "not applicable" ? null
      : !claimed.length ? "nothing is claimed of it yet"
      : `${claimed.join(" or ")}: ${cell.odd ? "NOT as expected" : "as expected"}`;
    return el("section", {},
      el("p", { class: "lead" }, badge(cell.outcome, sign), " ", sentence(meaning)),
      el("dl", { class: "facts" },
        fact("Seen", seen.map(([outcome, count]) => `${outcome} ${count}×`).join(", ")),
        claim && fact("Claimed", claim),
        reasonFact(cell.reason, all),
        note && fact("Note", inline(note)),
        fact("Elsewhere", elsewhere(id))));
  }

  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
  const badge = (outcome, sign) => el("span", { class: `badge o-${outcome.replaceAll(" ", "-")}` }, el("span", { class: "sign", "aria-hidden": "true" }, sign), " ", outcome);
  const fact = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];

  function reasonFact(id, { reasons, fix_in: places }) {
    if (!id) return null;
    const reason = reasons[id];
    if (!reason) return fact("Reason", id);
    const sources = reason.sources.map((source) => [link(source.url, `${source.package} ${source.version}, ${source.file} line ${source.line}`), "; "]);
    const links = [...(reason.link ? [link(reason.link, reason.link.replace(/^https:\/\//, "")), "; "] : []), ...sources.flat()].slice(0, -1);
    return [fact("Reason", inline(reason.sentence)), links.length ? fact("Where", ...links) : null, fact("Fix in", places[reason.fix_in])];
  }

  const link = (url, text) => (/^https:\/\//.test(url) ? el("a", { href: url, rel: "noreferrer" }, text) : text);

  /** Return links to the cells that differ in one coordinate only. */
  function elsewhere(id) {
    const parts = id.split("/");
    const near = all.filter((cell) => {
      const [stack, example, driver, server, transport] = cell.id.split("/");
      const same = [stack === parts[0], driver === parts[2] && server === parts[3], transport === parts[4]];
      return example === parts[1] && same.filter((one) => !one).length <= 1;
    });
    const rank = (cell) => cell.id.split("/").findIndex((part, i) => part !== parts[i]);
    near.sort((a, b) => rank(b) - rank(a));
    return el("div", { class: "elsewhere" }, near.filter((cell) => cell.id !== id).map((cell) => {
      const other = cell.id.split("/"), at = rank(cell);
      return el("a", { class: `badge o-${cell.outcome.replaceAll(" ", "-")}`, href: hashOf({ ...state, cell: cell.id }), onclick: (event) => openBy(event, cell.id) },
        el("span", { "aria-hidden": "true" }, $("i", cell.link).textContent), ` ${other[at]}: ${cell.outcome}`);
    }));
  }

  function about(example) {
    if (!example) return null;
    return el("section", { class: "prose" }, el("h3", {}, "What it does"), el("p", {}, inline(example.title)), prose(example.body));
  }

  // Text: paragraphs, lists, `code` and links of a docstring.

  function prose(text) {
    return text.split(/\n\s*\n/).filter((part) => part.trim()).map((part) => {
      if (!/^\s*[*-] /.test(part)) return el("p", {}, inline(part));
      return el("ul", {}, part.split(/\n(?=\s*[*-] )/).map((item) => el("li", {}, inline(item.replace(/^\s*[*-] /, "")))));
    });
  }

  function inline(text) {
    return text.split(/(`[^`]+`|https:\/\/[^\s)>\]]+[^\s)>\].,;:])/).map((part) => {
      if (/^`[^`]+`$/.test(part)) return el("code", {}, part.slice(1, -1));
      return part.startsWith("https://") ? link(part, part) : part;
    });
  }

  // What each saw.

  function viewsSection(cell, all) {
    const [parent, ...children] = cell.views.map((view) => all.pool[view]), server = all.pool[cell.server];
    if (cell.outcome === "not applicable") return null;
    const row = (name, view) => el("tr", {}, el("th", { scope: "row" }, name),
      el("td", { class: "number" }, String(view.right)), el("td", { class: "number" }, String(view.wrong)),
      el("td", {}, [...view.errors, ...(view.signal ? [`died by ${view.signal}`] : [])].join("; ") || "none"),
      el("td", {}, view.unanswered.join(", ") || "none"), el("td", {}, view.session));
    const listed = (values) => (values.length ? values.join(", ") : "none");
    return el("section", {}, el("h3", {}, "Three points of view"),
      scroll("What the processes saw", el("table", { class: "plain" },
        el("thead", {}, el("tr", {}, ["process", "right rows", "wrong rows", "exceptions", "unanswered", "server session"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, row("parent", parent), children.map((child) => row(child.name, child))))),
      el("p", {}, `The server: ${server.sessions_before} sessions before, ${server.sessions_after} after; rows came from session ${listed(server.sessions_used)}`,
        server.committed === null ? "." : `; orders written and there: ${listed(server.committed)}; confirmed and lost: ${listed(server.lost)}; rolled back and there: ${listed(server.unwanted)}.`));
  }

  const scroll = (label, ...children) => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);

  function transcriptSection(lines) {
    if (!lines.length) return null;
    const shown = lines.map(({ text, mark }) => el("span", { class: { wrong: "bad", begin: "quiet" }[mark] }, `${text}\n`));
    return el("section", {}, el("h3", {}, "Transcript"), codeBlock("Transcript", lines.map(({ text }) => text).join("\n"), el("pre", {}, shown)));
  }

  function codeSection(id, example, all) {
    if (!example) return null;
    const [stack, , ...rest] = id.split("/");
    const own = el("details", { class: "remedy", open: example.kind === "remedy" },
      el("summary", {}, example.kind === "remedy" ? "The code of this remedy" : "The code that did this", " ", el("code", {}, example.path)),
      yours(example), codeBlock("Code", codeOf(example, rest[0])));
    if (example.kind === "remedy") return el("section", {}, el("h3", {}, "Code to copy"), own);
    const remedies = (example.counterparts[rest[0]] || []).filter((name) => all.examples[`${stack}/${name}`]).map((name, index) => {
      const remedy = all.examples[`${stack}/${name}`], cell = [stack, name, ...rest].join("/"), found = byId.get(cell);
      return el("details", { class: "remedy", open: index === 0 },
        el("summary", {}, el("code", {}, name), " ", found ? [badge(found.outcome, $("i", found.link).textContent), " here"] : ""),
        el("p", {}, inline(remedy.title), " ", found ? el("a", { href: hashOf({ ...state, cell }), onclick: (event) => openBy(event, cell) }, "Open its cell") : ""),
        yours(remedy), codeBlock(`Code of ${name}`, codeOf(remedy, rest[0])));
    });
    return el("section", {},
      el("h3", {}, remedies.length ? "Tested fixes" : "Code"),
      remedies, own);
  }

  const codeOf = (example, driver) => example.by_driver[driver] || example.code;
  const yours = (example) => (example.yours.length ? el("p", { class: "key" }, "Yours: ", example.yours.map((name, i) => [i ? ", " : "", el("code", {}, name)])) : "");

  const codeBlock = (label, text, pre = el("pre", {}, el("code", {}, text))) => el("div", { class: "block" }, copyButton("Copy", () => text, label), scroll(label, pre));

  function copyButton(name, text, what = "") {
    return el("button", { type: "button", class: "copy", "aria-label": what ? `${name}: ${what}` : null, onclick: async (event) => {
      const button = event.currentTarget, done = await copy(text());
      button.textContent = done ? "Copied" : "Not copied";
      $("#said").textContent = done ? "Copied" : "Copying is not allowed here";
      setTimeout(() => { button.textContent = name; $("#said").textContent = ""; }, 1500);
    } }, name);
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = el("textarea", { class: "unseen" });
      area.value = text;
      dialog.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  function versionsSection(versions) {
    if (!Object.keys(versions).length) return null;
    return el("section", {}, el("h3", {}, "Versions"), el("dl", { class: "facts" }, Object.entries(versions).map(([name, version]) => fact(name, version))));
  }

  // The sequence diagram.

  // Steps of the test itself, which has the server hold replies back.
  const HOLDING = /^(hold answers|watch|release answer)/;

  function diagramSection(whole, held = false) {
    if (!whole.rows.length) return null;
    const own = (row) => ["begin", "end", "step"].includes(row.kind) && HOLDING.test(row.text);
    const has = whole.rows.some(own);
    const drawing = held || !has ? whole : { ...whole, rows: withoutOwn(whole.rows, own) };
    const label = `Sequence diagram of ${drawing.processes.join(", ")} and server session ${drawing.sessions.join(", ") || "none"}`;
    const [head, body] = diagram(drawing);
    const key = drawing.timed
      ? "Time in milliseconds. Solid line: that process sent it, for certain; dashed: inferred from the order in the query, or which process read it is unknown. “?”: the sender is unknown. FIN, RST: the end of the socket."
      : "From what the processes printed: a step and its result; a dotted line leads to the server session that was used.";
    const toggle = has ? el("label", { class: "key" }, el("input", { type: "checkbox", checked: held, onchange: (event) => {
      const section = event.target.closest("section"), next = diagramSection(whole, event.target.checked);
      section.replaceWith(next);
      $("input", next).focus();
    } }), " show the steps by which the test holds replies back") : null;
    return el("section", {}, el("h3", {}, "What happened, in order"), toggle,
      el("div", { class: "scroll diagram", tabindex: 0, role: "region", "aria-label": label }, head, body),
      el("p", { class: "key" }, key),
      drawing.timed ? el("details", {}, el("summary", {}, "The same as a table"), scroll("Events", eventTable(drawing))) : null);
  }

  /** Leave rows out; what refers to other rows by their number goes on doing so. */
  function withoutOwn(rows, own) {
    const kept = rows.map((row, number) => [row, number]).filter(([row]) => !own(row));
    const numbers = new Map(kept.map(([, before], after) => [before, after]));
    return kept.map(([row]) => ({ ...row, began: row.began === null ? null : numbers.get(row.began) ?? null }));
  }

  function eventTable({ rows }) {
    return el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, ["ms", "who", "session", "what", "attributed by"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map((row) => el("tr", {},
        el("td", { class: "number" }, row.at.toFixed(1)), el("td", {}, row.lane || (row.kind === "sent" ? "unknown" : "")), el("td", {}, row.session ?? ""),
        el("td", {}, `${row.kind === "begin" ? "begins: " : ""}${row.text}`), el("td", {}, row.how ?? "")))));
  }

  const CHARACTER = 7, STEP = 21, ARROW = 31, WIDEST = 84;

  /** Draw what happened; return its head, which stays in view, and its body, as two SVG elements of the same width. */
  function diagram({ processes, sessions, timed, rows }) {
    const left = timed ? 58 : 14;
    const WIRE = ["sent", "received", "mark"];
    const strange = rows.some((row) => WIRE.includes(row.kind) && !row.session);
    const unknown = rows.some((row) => row.kind === "sent" && !row.lane);
    const noted = rows.some((row) => row.kind === "note");
    const lanes = [...processes.map((name) => ({ name, key: name, kind: "process" })), ...(unknown ? [{ name: "", key: "?", kind: "unknown" }] : []),
      ...[...sessions, ...(strange ? ["?"] : [])].map((name) => ({ name: `session ${name}`, key: `session ${name}`, kind: "session" })),
      ...(noted ? [{ name: "server", key: "server", kind: "server" }] : [])];
    const gap = matchMedia("(max-width: 40rem)").matches ? 86 : lanes.length <= 6 ? 150 : lanes.length <= 10 ? 112 : 88;
    let x = left + 45;
    for (const one of lanes) {
      one.x = one.kind === "unknown" ? x - gap * 0.4 : x;
      x = one.x + gap;
    }
    const lane = (key) => lanes.find((one) => one.key === key);
    const sessionLane = (row) => lane(`session ${row.session ?? "?"}`);

    let y = 16, width = x - gap + 60, harmed = false;
    const lines = [], boxes = [], marks = [], bars = [];
    const extent = new Map(), open = new Map(), over = new Set();
    const touch = (one) => {
      const had = extent.get(one);
      if (!had && one.kind === "process" && one.key !== processes[0]) {
        const first = lane(processes[0]);
        lines.push(svg("path", { class: "arrow begins", d: `M${first.x} ${y - 9}H${one.x}` }, svg("title", {}, `${one.key} begins`)));
      }
      if (!over.has(one)) extent.set(one, [had ? had[0] : y - 6, y + 6]);
    };
    const write = (x, at, text, style = "") => {
      const cut = text.length > WIDEST ? `${text.slice(0, WIDEST - 1)}…` : text;
      width = Math.max(width, x + cut.length * CHARACTER + 12);
      marks.push(svg("text", { x, y: at, class: style }, cut, cut === text ? "" : svg("title", {}, text)));
    };
    const arrow = (from, to, style, title) => {
      const way = Math.sign(to - from) || 1;
      lines.push(svg("path", { class: `arrow ${style}`, d: `M${from} ${y}H${to - way * 6}` }, title ? svg("title", {}, title) : ""));
      lines.push(svg("path", { class: `tip ${style}`, d: `M${to} ${y}l${-way * 8} -4v8z` }));
    };

    /** A step's begin, its end, or both. */
    const step = (row, number, one) => {
      touch(one);
      if (row.kind === "begin") open.set(number, { text: row.text, top: y, one });
      if (open.has(row.began)) {
        const { top } = open.get(row.began);
        bars.push(svg("rect", { class: "busy", x: one.x - 4, y: top, width: 8, height: Math.max(6, y - top) }));
        open.delete(row.began);
      }
      const uses = !timed && row.kind !== "begin" && row.session ? sessionLane(row) : null;
      if (uses) {
        touch(uses);
        const after = one.x + 16 + Math.min(row.text.length, WIDEST) * CHARACTER;
        if (after < uses.x) lines.push(svg("path", { class: "uses", d: `M${after} ${y}H${uses.x}` }));
        lines.push(svg("circle", { class: "tip server", cx: uses.x, cy: y, r: 4 }));
      }
      write(one.x + 10, y + 4, row.text, row.wrong ? "bad" : row.kind === "begin" ? "quiet" : "");
    };
    const sent = (row, end, style) => {
      const from = row.lane ? lane(row.lane) : lane("?");
      if (row.lane) touch(from);
      else marks.push(svg("circle", { class: "unknown", cx: from.x, cy: y, r: 8 }), svg("text", { x: from.x - 3.5, y: y + 4, class: "bad" }, "?"));
      arrow(from.x + (row.lane ? 0 : 8), end.x, `${style}${row.sure ? "" : " unsure"}`, row.how ? `attributed by: ${row.how}` : "");
      const harm = row.closes && row.lane && row.lane !== processes[0] && !harmed;
      harmed ||= harm;
      const text = row.lane ? row.text : `[${row.how}] ${row.text}`;
      write(from.x + 12, y - 5, harm ? `${text} ← ends the session for every process` : text, row.closes ? "bad" : "");
    };
    const received = (row, end, style) => {
      const to = row.reader ? lane(row.reader).x : end.x - gap * 0.62;
      arrow(end.x, to, `${style || "server"}${row.reader ? "" : " unsure"}`, row.reader ? "" : "which process read this is unknown");
      write(row.reader ? to + 10 : to + 6, y - 5, row.text, row.closes ? "bad" : "");
      if (row.closes) over.add(end);
    };
    const note = (row) => {
      const whole = row.session ? `session ${row.session}: ${row.text}` : row.text, at = lane("server").x - 40;
      const text = whole.length > WIDEST ? `${whole.slice(0, WIDEST - 1)}…` : whole, wide = text.length * CHARACTER + 10;
      marks.push(svg("rect", { class: "note", x: at, y: y - 9, width: wide, height: 18, rx: 3 }));
      marks.push(svg("text", { class: "on-note", x: at + 5, y: y + 4 }, text, svg("title", {}, `${whole} (seen on the server)`)));
      width = Math.max(width, at + wide + 8);
    };

    rows.forEach((row, number) => {
      if (timed && row.kind !== "omitted") marks.push(svg("text", { class: "time", x: left - 8, y: y + 4 }, row.at.toFixed(1)));
      if (row.kind === "omitted") {
        write(left, y + 4, row.text, "quiet");
      } else if (row.kind === "note") {
        note(row);
      } else if (WIRE.includes(row.kind)) {
        y += ARROW - STEP;
        const end = sessionLane(row), style = row.closes ? "end" : "";
        touch(end);
        if (row.kind === "sent") sent(row, end, style);
        else if (row.kind === "received") received(row, end, style);
        else {
          marks.push(svg("circle", { class: "unknown", cx: end.x, cy: y - 4, r: 4 }));
          write(end.x + 10, y, row.text, "bad");
        }
        if (row.closes) lines.push(svg("path", { class: "arrow end", d: `M${end.x - 6} ${y - 6}l12 12m0 -12l-12 12` }));
      } else if (lane(row.lane)) step(row, number, lane(row.lane));
      y += rows[number + 1]?.kind === "omitted" ? STEP + 4 : STEP;
    });
    const height = y + 4;
    const lives = lanes.filter((one) => one.kind === "process" || one.kind === "session");
    const far = lives.map((one) => svg("path", { class: "life far", d: `M${one.x} 0V${height}` }));
    for (const one of lives) {
      const [top, bottom] = extent.get(one) || [0, 0];
      if (bottom) boxes.push(svg("path", { class: `life ${one.kind}`, d: `M${one.x} ${top}V${bottom}` }));
    }
    const never = [...open.values()].map(({ text, top, one }) => svg("rect", { class: "busy open", x: one.x - 4, y: top, width: 8, height: height - 4 - top }, svg("title", {}, `${text}: no result`)));
    const body = svg("svg", { class: "body", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, far, boxes, bars, never, lines, marks);
    const head = svg("svg", { class: "head", width, height: 34, viewBox: `0 0 ${width} 34`, "aria-hidden": "true" }, lanes.filter((one) => one.name).map((one) => [
      svg("rect", { class: one.kind, x: one.x - 40, y: 5, width: 80, height: 24, rx: one.kind === "session" ? 12 : 3 }),
      svg("text", { class: `on-${one.kind}`, x: one.x, y: 21 }, one.name)]));
    return [head, body];
  }

  // Events.

  function openBy(event, id) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go({ cell: id }, !dialog.open);
  }

  function setTheme(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  $("#scriptless").hidden = true;
  grid.setAttribute("role", "grid");
  for (const cell of all) cell.link.tabIndex = -1;
  grid.addEventListener("click", (event) => {
    const found = event.target.closest("td")?.querySelector("a");
    if (found && !event.target.closest("td").classList.contains("out")) {
      const cell = all.find((one) => one.link === found);
      setCurrent(cell);
      openBy(event, cell.id);
    }
  });
  grid.addEventListener("keydown", move);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea")) return;
    if (event.key === "/" && !dialog.open) {
      event.preventDefault();
      $("#more").open = true;
      $("#q").focus();
    }
    const step = { n: 1, p: -1 }[event.key], other = dialog.open && step && beside(state.cell, step);
    if (other) go({ cell: other });
  });
  grid.addEventListener("focusin", (event) => { const cell = all.find((one) => one.link === event.target); if (cell) setCurrent(cell); });
  form.addEventListener("change", readForm);
  form.addEventListener("input", readForm);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => { event.preventDefault(); go({ q: "", ...Object.fromEntries(SETS.map((name) => [name, new Set()])) }); });
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
  dialog.addEventListener("close", () => { if (state.cell) close(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog && event.clientX < dialog.getBoundingClientRect().left) close(); });
  addEventListener("popstate", () => { state = read(); show(); });
  addEventListener("resize", fit);
  $("#skip").addEventListener("click", () => focusCell(current));
  const remembered = () => { try { return localStorage.getItem("theme") || ""; } catch { return ""; } };
  setTheme(remembered());
  for (const input of $$("input[name=theme]")) {
    input.checked = input.value === remembered();
    input.addEventListener("change", () => { setTheme(input.value); try { localStorage.setItem("theme", input.value); } catch { /* private window: the choice lasts as long as the page */ } });
  }
  if (matchMedia("(max-width: 40rem)").matches && !SETS.slice(0, 3).some((name) => state[name].size)) $("#more").open = false;
  show();
})();
