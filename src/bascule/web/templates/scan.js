"use strict";
const search = document.getElementById("search");
const least = document.getElementById("least");
const said = document.getElementById("said");
const map = document.getElementById("map");

if (search) {
  const causes = [...document.querySelectorAll("#findings ~ .cause")];
  const order = [...least.options].map((option) => option.value);
  const texts = causes.map((cause) => cause.textContent.toLowerCase());

  const filter = () => {
    const words = search.value.toLowerCase();
    causes.forEach((cause, at) => {
      const mild = order.indexOf(cause.dataset.severity) < order.indexOf(least.value);
      cause.hidden = mild || !texts[at].includes(words);
    });
    const shown = causes.filter((cause) => !cause.hidden).length;
    said.textContent = `${shown} of ${causes.length} shown`;
  };
  search.addEventListener("input", filter);
  least.addEventListener("change", filter);
}

if (map) {
  const lines = [...map.querySelectorAll(".lines path")];
  const only = (server) => {
    for (const line of lines) {
      line.classList.toggle("faint", server !== null && line.dataset.server !== server);
    }
  };
  for (const server of map.querySelectorAll(".server")) {
    server.addEventListener("focus", () => only(server.dataset.server));
    server.addEventListener("blur", () => only(null));
    server.addEventListener("keydown", (event) => {
      if (event.key === "Escape") server.blur();
    });
  }
}
