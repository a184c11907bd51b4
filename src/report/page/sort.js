// Sorts a table by a column; the last row, which sums up the rest, stays last.
for (const head of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const table = head.closest("table");
    const column = [...head.parentNode.children].indexOf(head);
    const falls = head.getAttribute("aria-sort") !== "descending";
    const value = (row) => {
      const cell = row.children[column];
      return cell.dataset.sort === undefined ? cell.textContent : Number(cell.dataset.sort);
    };
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
    const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("rest"));
    rows.sort((a, b) => compare(value(a), value(b)) * (falls ? -1 : 1));
    table.tBodies[0].prepend(...rows);
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  });
}
