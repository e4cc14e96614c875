// The contact sheet: tiles that a worker streams as server-sent events.

import { call, events } from "./service.js";
import { $, element, log, milliseconds } from "./show.js";

export const sheet = {
  leave: new AbortController(),

  async stream(file, ratio) {
    this.leave.abort(); // The service notices, and the worker stops making tiles that nobody wants.
    const leave = (this.leave = new AbortController());
    const started = performance.now();
    let [count, first] = [0, 0];
    this.lay(file, ratio);
    try {
      const response = await call("/tiles?across=10", { body: file, signal: leave.signal });
      for await (const { name, data } of events(response)) {
        if (leave.signal.aborted) return;
        if (name === "failed") throw new Error(JSON.parse(data).error);
        if (name !== "tile") continue;
        first ||= performance.now() - started;
        count += 1;
        this.paint(JSON.parse(data));
        $("sheet-note").textContent = `${count} tiles`;
      }
      $("sheet").classList.add("whole");
      const took = milliseconds(performance.now() - started);
      $("sheet-note").textContent = `${count} tiles in ${took}, the first after ${milliseconds(first)}`;
    } catch (error) {
      if (leave.signal.aborted) return;
      $("sheet-note").textContent = error.message;
      log(`contact sheet of ${file.name}: ${error.message}`, "bad");
    }
  },

  lay(file, ratio) {
    const grid = $("sheet");
    grid.hidden = false;
    grid.classList.remove("whole");
    grid.replaceChildren();
    grid.style.aspectRatio = ratio;
    grid.style.width = `min(100%, calc(62vh * ${ratio}))`;
    grid.setAttribute("aria-label", `Contact sheet of ${file.name}`);
  },

  paint({ row, column, rows, columns, image }) {
    const grid = $("sheet");
    if (grid.children.length === 0) {
      grid.style.gridTemplate = `repeat(${rows}, minmax(0, 1fr)) / repeat(${columns}, minmax(0, 1fr))`;
      for (let cell = 0; cell < rows * columns; cell++) grid.append(element("div", "cell"));
    }
    const tile = element("img");
    tile.alt = "";
    tile.src = image;
    grid.children[row * columns + column].replaceChildren(tile);
  },
};
