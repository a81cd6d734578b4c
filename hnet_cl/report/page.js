"use strict";

// A table's parts that move together when it is sorted: single rows, or a run with its details.
const partsOf = (table) => [...(table.tBodies.length > 1 ? table.tBodies : table.tBodies[0].rows)];

const valueOf = (part, column) => {
  const cell = (part.rows ? part.rows[0] : part).cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
};

const compare = (a, b) => {
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
};

const sort = (table, header) => {
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const keyed = partsOf(table).map((part) => [valueOf(part, header.cellIndex), part]);
  const empty = ([value]) => value === "";
  const sorted = keyed.filter((one) => !empty(one)).sort(([a], [b]) => sign * compare(a, b));
  for (const [, part] of [...sorted, ...keyed.filter(empty)]) part.parentNode.append(part);
};

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => sort(button.closest("table"), button.parentNode));
}

for (const button of document.querySelectorAll(".more")) {
  button.addEventListener("click", () => {
    const detail = button.closest("tr").nextElementSibling;
    detail.hidden = !detail.hidden;
    button.setAttribute("aria-expanded", String(!detail.hidden));
  });
}

const filter = document.querySelector("#filter");
const texts = [...document.querySelectorAll("#runs tbody")].map((run) => {
  const parts = [run.rows[0], ...run.querySelectorAll(".sought")];
  return [run, parts.map((part) => part.textContent).join(" ").toLowerCase()];
});
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const [run, text] of texts) run.hidden = !words.every((word) => text.includes(word));
  const shown = texts.filter(([run]) => !run.hidden).length;
  document.querySelector("#shown").textContent = `${shown} of ${texts.length} runs`;
});
