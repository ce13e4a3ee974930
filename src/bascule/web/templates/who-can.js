"use strict";
const table = document.getElementById("rights");
const said = document.getElementById("said");
const byTool = document.getElementById("tools");
const byWho = document.getElementById("who");

if (table) {
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.querySelectorAll("tbody tr:not(.connector)")];
  let current = rows[0].cells[1];
  current.tabIndex = 0;

  const shown = (cell) => !cell.hidden && !cell.parentElement.hidden;

  // One cell is in the order of the Tab key; the arrows move it.
  const go = (cell) => {
    current.removeAttribute("tabindex");
    current = cell;
    current.tabIndex = 0;
    current.focus();
    current.scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  const tell = (cell) => {
    const row = cell.parentElement;
    const connector = row.parentElement.rows[0].cells[0].textContent;
    const who = heads[cell.cellIndex].dataset.who;
    said.textContent =
      `${connector}/${row.cells[0].textContent}: ${cell.textContent} for ${who}. ${cell.title}`;
  };

  table.addEventListener("focusin", (event) => {
    if (event.target.tagName === "TD") tell(event.target);
  });
  table.addEventListener("click", (event) => {
    if (event.target.tagName === "TD") go(event.target);
  });
  table.addEventListener("keydown", (event) => {
    if (event.target.tagName !== "TD") return;
    const across = [...current.parentElement.cells].slice(1).filter(shown);
    const down = rows.map((row) => row.cells[current.cellIndex]).filter(shown);
    const x = across.indexOf(current);
    const y = down.indexOf(current);
    const next = {
      ArrowLeft: across[x - 1],
      ArrowRight: across[x + 1],
      ArrowUp: down[y - 1],
      ArrowDown: down[y + 1],
      Home: across[0],
      End: across.at(-1),
      PageUp: down[Math.max(0, y - 10)],
      PageDown: down[Math.min(down.length - 1, y + 10)],
    }[event.key];
    if (next) {
      event.preventDefault();
      go(next);
    }
  });

  const filter = () => {
    const tool = byTool.value.toLowerCase();
    const who = byWho.value.toLowerCase();
    const keep = heads.map(
      (head, at) => at === 0 || head.dataset.who.toLowerCase().includes(who));
    heads.forEach((head, at) => { head.hidden = !keep[at]; });
    for (const row of rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(tool);
      [...row.cells].forEach((cell, at) => { cell.hidden = !keep[at]; });
    }
    if (!shown(current)) {
      const first = rows.flatMap((row) => [...row.cells].slice(1)).find(shown);
      if (first) {
        current.removeAttribute("tabindex");
        current = first;
        current.tabIndex = 0;
      }
    }
  };
  byTool.addEventListener("input", filter);
  byWho.addEventListener("input", filter);
}
