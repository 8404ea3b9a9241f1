"use strict";
// The list of utterances: filter, sort, alignments, audio. Every text of the data reaches the page as a text node.
(function () {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const total = data.ids.length;
  const systems = data.systems.length;
  const withAudio = new Set(data.audio);
  const SUB = 1, DEL = 2, INS = 3;
  const BATCH = 25, LONG = 400;

  const words = data.references.map((text) => (text ? text.split(" ") : []));
  const errors = data.systems.map((system) => system.edits.map((edits) => edits.length / 3));
  const initial = () => ({
    query: "", show: "all", model: systems - 1, against: 0, sort: "worst", groups: data.groups.map(() => -1), chip: null,
  });
  let state = initial();
  let view = [];
  let shown = 0;
  let recordings = null;
  let searched = null;

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const key in attributes || {}) {
      if (key === "class") made.className = attributes[key];
      else made.setAttribute(key, attributes[key]);
    }
    made.append(...children);
    return made;
  }

  // --- alignment ---------------------------------------------------------------------------------------------

  function editsOf(system, row) {
    const flat = data.systems[system].edits[row];
    const at = new Map(), before = new Map();
    for (let k = 0; k < flat.length; k += 3) {
      const position = flat[k];
      if (flat[k + 1] === INS) {
        if (!before.has(position)) before.set(position, []);
        before.get(position).push(flat[k + 2]);
      } else at.set(position, flat[k + 1] === DEL ? null : flat[k + 2]);
    }
    return { at, before };
  }

  // One column per reference word, and as many before it as any model inserted words there.
  function columnsOf(row) {
    const found = data.systems.map((_, system) => editsOf(system, row));
    const columns = [];
    const reference = words[row];
    for (let position = 0; position <= reference.length; position++) {
      const inserted = found.map((edits) => edits.before.get(position) || []);
      const wide = Math.max(0, ...inserted.map((list) => list.length));
      for (let k = 0; k < wide; k++) {
        columns.push({ word: "", cells: inserted.map((list) => (k < list.length ? ["ins", list[k]] : ["none", ""])) });
      }
      if (position < reference.length) {
        const word = reference[position];
        columns.push({
          word,
          cells: found.map((edits) => {
            if (!edits.at.has(position)) return ["hit", word];
            const heard = edits.at.get(position);
            return heard === null ? ["del", ""] : ["sub", heard];
          }),
        });
      }
    }
    return columns;
  }

  function cell(kind, word) {
    const td = element("td");
    if (kind === "none") return td;
    if (kind === "del") {
      td.append(element("span", { class: "del" }, element("span", { "aria-hidden": "true" }, "–"), element("span", { class: "sr" }, "missing")));
    } else if (kind === "hit") {
      td.className = "hit";
      td.append(marked(word));
    } else {
      td.append(element("span", { class: kind }, element("span", { class: "sr" }, kind === "sub" ? "substituted: " : "inserted: "), marked(word)));
    }
    return td;
  }

  function marked(word) {
    const query = state.query;
    return query && word.toLowerCase().startsWith(query) ? element("mark", {}, word) : document.createTextNode(word);
  }

  const pen = document.createElement("canvas").getContext("2d");
  const measured = new Map();

  function textWidth(text) {
    if (!measured.has(text)) measured.set(text, pen.measureText(text).width);
    return measured.get(text);
  }

  // Pixels: the widest word, the padding of its cell and of its colour.
  function width(column) {
    let widest = textWidth(column.word) + 10;
    for (const [kind, word] of column.cells) widest = Math.max(widest, textWidth(kind === "del" ? "–" : word) + (kind === "hit" ? 10 : 18));
    return widest;
  }

  function lineTable(row, columns, first) {
    const table = element("table", { class: "line" });
    const caption = element("caption", { class: "sr" }, "Alignment of utterance " + data.ids[row]);
    const reference = element("tr", {}, element("th", { scope: "row" }, element("div", {}, "reference")), element("td", { class: "wrongs" }));
    for (const column of columns) reference.append(element("td", {}, marked(column.word)));
    if (first) table.append(caption);
    table.append(reference);
    data.models.forEach((name, system) => {
      const count = errors[system][row];
      const head = element("th", { scope: "row", title: name }, element("div", {}, chip(system), element("span", { class: "model-name" }, name)));
      const wrongs = element("td", { class: "wrongs" }, element("div", {}, first ? (count ? count + " wrong" : "all right") : ""));
      const line = element("tr", {}, head, wrongs);
      for (const column of columns) line.append(cell(...column.cells[system]));
      table.append(line);
    });
    return table;
  }

  function chip(system) {
    return element("span", { class: "chip", style: "background:var(--model-" + (system % 6) + ")" });
  }

  function lines(row, room) {
    const columns = columnsOf(row);
    const box = element("div", { class: "lines" });
    const draw = (list, offset) => {
      let start = 0, used = 0;
      for (let k = 0; k <= list.length; k++) {
        const more = k < list.length ? width(list[k]) : Infinity;
        if (k === list.length ? k > start || (!list.length && !offset) : used + more > room && k > start) {
          box.append(lineTable(row, list.slice(start, k), start === 0 && offset === 0));
          start = k;
          used = 0;
        }
        used += more;
      }
    };
    draw(columns.slice(0, LONG), 0);
    if (columns.length > LONG) {
      const button = element("button", { type: "button", class: "quiet-button" }, "Show all " + columns.length + " words");
      button.addEventListener("click", () => { button.remove(); draw(columns.slice(LONG), LONG); });
      box.append(button);
    }
    return box;
  }

  function written(row) {
    const texts = [["reference", data.written[row]]];
    data.models.forEach((name, system) => texts.push([name, data.systems[system].written[row]]));
    const given = texts.filter(([, text]) => text !== null);
    if (!given.length) return [];
    const box = element("details", { class: "written" }, element("summary", {}, "As written"));
    for (const [name, text] of given) box.append(element("p", {}, name + ": ", element("q", {}, text)));
    return [box];
  }

  function item(row, room) {
    const title = element("h3", {}, data.ids[row]);
    const head = element("header", {}, title);
    if (withAudio.has(row)) {
      const button = element("button", { type: "button", class: "play" }, "▶ Play");
      button.setAttribute("aria-label", "Play utterance " + data.ids[row]);
      button.addEventListener("click", () => play(row, button));
      head.append(button);
    }
    for (const group of data.groups) head.append(element("span", {}, group.name + " " + group.labels[group.index[row]]));
    for (const column of data.columns) {
      const value = column.values[row];
      if (value !== null && value !== "") head.append(element("span", {}, column.name + " " + (typeof value === "number" ? +value.toPrecision(4) : value)));
    }
    const box = element("li", { class: "utterance", tabindex: "-1", "data-row": row }, head, lines(row, room), ...written(row));
    return box;
  }

  // --- audio -------------------------------------------------------------------------------------------------

  function play(row, button) {
    const box = button.closest(".utterance");
    let player = box.querySelector("audio");
    if (!player) {
      if (recordings === null) recordings = JSON.parse(byId("recordings").textContent);
      player = element("audio", { controls: "", preload: "auto", "aria-label": "Recording of utterance " + data.ids[row] });
      player.src = "data:audio/wav;base64," + recordings[row];
      box.querySelector("header").after(player);
      player.addEventListener("play", () => {
        for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
        button.textContent = "❚❚ Pause";
      });
      player.addEventListener("pause", () => { button.textContent = "▶ Play"; });
    }
    if (player.paused) player.play().catch(() => { button.textContent = "cannot be played here"; });
    else player.pause();
  }

  // --- filter and sort ---------------------------------------------------------------------------------------

  function heard(system, row) {
    const edits = editsOf(system, row);
    const list = [];
    for (let position = 0; position <= words[row].length; position++) {
      for (const word of edits.before.get(position) || []) list.push(word);
      if (position === words[row].length) break;
      if (!edits.at.has(position)) list.push(words[row][position]);
      else if (edits.at.get(position) !== null) list.push(edits.at.get(position));
    }
    return list.join(" ");
  }

  function searchable() {
    if (searched === null) {
      searched = words.map((_, row) => {
        const texts = [data.ids[row], data.written[row] || "", data.references[row]];
        for (let system = 0; system < systems; system++) {
          if (errors[system][row]) texts.push(heard(system, row));
        }
        const joined = (" " + texts.join(" \n ") + " ").toLowerCase();
        return data.spaced ? joined : joined.replace(/ /g, "");
      });
    }
    return searched;
  }

  function matchesChip(row) {
    const { kind, words: wanted } = state.chip;
    for (let system = 0; system < systems; system++) {
      const flat = data.systems[system].edits[row];
      for (let k = 0; k < flat.length; k += 3) {
        const op = flat[k + 1], said = words[row][flat[k]];
        if (kind === "confusion" && op === SUB && said === wanted[0] && flat[k + 2] === wanted[1]) return true;
        if (kind === "missed" && op !== INS && said === wanted[0]) return true;
        if (kind === "inserted" && op === INS && flat[k + 2] === wanted[0]) return true;
      }
    }
    return false;
  }

  function change(row) {
    return errors[state.model][row] - errors[state.against][row];
  }

  function filtered() {
    const texts = state.query ? searchable() : null;
    const query = data.spaced ? " " + state.query : state.query.replace(/ /g, "");
    const rows = [];
    for (let row = 0; row < total; row++) {
      if (texts && !texts[row].includes(query)) continue;
      if (state.show === "errors" && !errors[state.model][row]) continue;
      if (state.show === "worse" && change(row) <= 0) continue;
      if (state.show === "better" && change(row) >= 0) continue;
      if (state.show === "differ" && errors.every((list) => list[row] === errors[0][row])) continue;
      if (state.groups.some((label, column) => label >= 0 && data.groups[column].index[row] !== label)) continue;
      if (state.chip && !matchesChip(row)) continue;
      rows.push(row);
    }
    return rows;
  }

  function sorted(rows) {
    const mine = errors[state.model];
    const share = (row) => mine[row] / Math.max(1, words[row].length);
    // of texts those that say something come first
    const number = (value) => (typeof value === "number" ? value : value ? 1 : -Infinity);
    const keys = {
      worst: (row) => mine[row] + share(row) / 1e6,
      lost: (row) => change(row) + share(row) / 1e6,
      gained: (row) => -change(row) + share(row) / 1e6,
      rate: share,
      long: (row) => words[row].length,
    };
    let key = keys[state.sort];
    if (state.sort.startsWith("column-")) {
      const values = data.columns[+state.sort.slice(7)].values;
      key = (row) => number(values[row]);
    }
    return key ? rows.sort((a, b) => key(b) - key(a) || a - b) : rows;
  }

  // --- the list ----------------------------------------------------------------------------------------------

  const list = byId("list"), more = byId("more");
  let drawn = 0; // the room that the lines were last folded for

  function room() {
    const style = getComputedStyle(list);
    pen.font = style.fontSize + " " + style.fontFamily;
    return Math.max(160, list.clientWidth - 34 - (140 + 10) - (62 + 14) - 4);
  }

  function append() {
    const until = Math.min(view.length, shown + BATCH), space = drawn = room();
    const batch = document.createDocumentFragment();
    for (; shown < until; shown++) batch.append(item(view[shown], space));
    list.append(batch);
    more.textContent = shown < view.length ? view.length - shown + " more below" : "";
  }

  function update() {
    view = sorted(filtered());
    shown = 0;
    list.replaceChildren();
    const number = (value) => value.toLocaleString("en-US");
    byId("count").textContent = number(view.length) + " of " + number(total) + " utterances";
    append();
  }

  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && shown < view.length) append();
  }, { rootMargin: "1200px" }).observe(more);

  function setChip(chip) {
    state.chip = chip;
    const place = byId("chips");
    place.replaceChildren();
    if (chip) {
      const text = { confusion: chip.words.join(" → "), missed: "missed: " + chip.words[0], inserted: "inserted: " + chip.words[0] }[chip.kind];
      const button = element("button", { type: "button", class: "chip-button", id: "chip" }, text + " ✕");
      button.setAttribute("aria-label", "Remove the filter " + text);
      button.addEventListener("click", () => { setChip(null); update(); byId("query").focus(); });
      place.append(button);
    }
  }

  // --- controls ----------------------------------------------------------------------------------------------

  const selects = [...document.querySelectorAll("[data-group]")];

  function readControls() {
    state.query = byId("query").value.trim().toLowerCase() + (/\S\s$/.test(byId("query").value) ? " " : "");
    state.show = byId("show").value;
    state.sort = byId("sort").value;
    if (byId("model")) {
      state.model = +byId("model").value;
      state.against = +byId("against").value;
    }
    selects.forEach((select) => { state.groups[+select.dataset.group] = select.value === "" ? -1 : +select.value; });
    update();
  }

  selects.forEach((select) => {
    data.groups[+select.dataset.group].labels.forEach((label, index) => select.append(element("option", { value: index }, label)));
  });
  byId("query").addEventListener("input", readControls);
  byId("controls").addEventListener("change", (event) => { if (event.target !== byId("query")) readControls(); });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").addEventListener("reset", () => setTimeout(() => { setChip(null); readControls(); }));

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-filter]");
    if (!button) return;
    if (button.dataset.filter === "group") {
      const column = +button.dataset.column;
      const label = data.groups[column].labels.indexOf(button.dataset.label);
      if (label >= 0) selects[column].value = String(label);
    } else setChip({ kind: button.dataset.filter, words: JSON.parse(button.dataset.words) });
    readControls();
    byId("utterances").scrollIntoView();
    byId("utterances").focus({ preventScroll: true });
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "Escape" && event.target === byId("query")) byId("utterances").focus();
    if (typing) return;
    const current = event.target.closest ? event.target.closest(".utterance") : null;
    if (event.key === "/") byId("query").focus();
    else if (event.key === "j") focusItem(current ? current.nextElementSibling : list.firstElementChild);
    else if (event.key === "k") focusItem(current ? current.previousElementSibling : list.firstElementChild);
    else if (event.key === "p" && current && current.querySelector(".play")) current.querySelector(".play").click();
    else return;
    event.preventDefault();
  });

  function focusItem(box) {
    if (!box) return;
    box.focus({ preventScroll: true });
    box.scrollIntoView({ block: "center" });
  }

  // --- tables and theme --------------------------------------------------------------------------------------

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = element("button", { type: "button", class: "link" }, ...head.childNodes);
      head.replaceChildren(button);
      button.addEventListener("click", () => sortTable(table, head, column));
    });
  }

  function sortTable(table, head, column) {
    const numeric = head.classList.contains("num");
    const now = head.getAttribute("aria-sort");
    const next = now ? (now === "descending" ? "ascending" : "descending") : numeric ? "descending" : "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", next);
    const value = (row) => {
      const text = row.cells[column].textContent.trim();
      return numeric ? (text === "∞" ? Infinity : parseFloat(text.replace(/,/g, ""))) : text;
    };
    const order = numeric ? (a, b) => value(a) - value(b) : (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true });
    const sign = next === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => sign * order(a, b)));
  }

  const theme = byId("theme");
  const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { theme.setAttribute("aria-pressed", String(dark())); };
  theme.addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; label(); });
  label();

  let resized = 0;
  const refold = () => { if (room() !== drawn) update(); }; // otherwise what was opened stays open
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(refold, 200); });
  readControls();
  setTimeout(searchable, 300); // so that the first key typed need not wait for it
})();
