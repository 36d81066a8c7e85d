// Sorts the tables of class "sortable" by the column whose header is pressed; the page is complete without it.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const value = header.classList.contains("number")
        ? (row) => parseFloat(row.cells[column].textContent.replace(/^[^\d.+-]+/, ""))
        : (row) => row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
      rows.sort(([one], [other]) => compare(one, other, direction));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

function compare(one, other, direction) {
  if (typeof one === "string") return direction * one.localeCompare(other);
  if (isNaN(one) || isNaN(other)) return isNaN(one) - isNaN(other); // what is not known comes last, both ways
  return direction * (one - other);
}

// What is folded on screen is open in print.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) {
    folded.open = true;
    addEventListener("afterprint", () => (folded.open = false), { once: true });
  }
});
