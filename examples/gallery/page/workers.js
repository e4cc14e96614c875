// The dirty workers, and two ways to break one.

import { call } from "./service.js";
import { $, duration, element, log, milliseconds } from "./show.js";

const places = []; // One row a worker; a successor takes the row of the one that it replaces.

async function look() {
  let status;
  try {
    status = await (await call("/workers", { method: "GET", signal: AbortSignal.timeout(3000) })).json();
  } catch (error) {
    $("service").className = "pill bad";
    $("service").textContent = error.status === 0 ? "not reachable" : error.message;
    return;
  }
  const living = new Map(status.workers.map((worker) => [worker.pid, worker]));
  const newcomers = status.workers.filter(({ pid }) => !places.some((place) => place.pid === pid));
  for (const place of places) {
    const gone = place.pid && !living.has(place.pid);
    if (gone) place.vacate();
    if (!place.pid && newcomers.length) place.occupy(newcomers.shift());
    if (place.pid) place.update(living.get(place.pid));
  }
  for (const worker of newcomers) {
    const place = new Place();
    places.push(place);
    $("workers").append(place.row);
    place.occupy(worker);
    place.update(worker);
  }
  const count = living.size;
  $("service").className = "pill good";
  $("service").textContent = `${count} ${count === 1 ? "worker" : "workers"}, arbiter ${status.arbiter_pid}`;
}

class Place {
  constructor() {
    this.row = element("tr");
    this.cells = ["pid", "", "number", "number"].map((kind) => element("td", kind));
    this.row.append(...this.cells);
  }

  vacate() {
    this.before = this.pid;
    this.pid = undefined;
    this.row.className = "vacant";
    delete this.row.dataset.pid;
    this.cells[0].replaceChildren(element("s", "", this.before));
    this.cells[1].textContent = "being replaced";
    this.cells[2].textContent = this.cells[3].textContent = "";
  }

  occupy({ pid, apps }) {
    this.pid = pid;
    this.row.dataset.pid = pid;
    this.row.className = this.before ? "fresh" : "";
    this.cells[0].textContent = pid;
    this.cells[1].textContent = apps.map((app) => app.split(":").pop()).join(", ");
    this.cells[1].title = apps.join(", ");
    if (this.before) {
      this.cells[0].append(element("s", "", this.before));
      log(`worker ${pid} serves in the place of ${this.before}`, "good");
    }
  }

  update({ uptime, calls }) {
    this.cells[2].textContent = duration(uptime);
    this.cells[3].textContent = calls;
  }
}

let faults = 0;
let faultEnd = -Infinity;

/** Whether a worker is being broken, or was a moment ago. */
export function faulty() {
  return faults > 0 || performance.now() - faultEnd < 300;
}

/** A visitor breaks a worker, and sees what the call that did it is told. */
function fault(button, path, doing) {
  button.onclick = async () => {
    const label = button.textContent;
    const started = performance.now();
    const clock = setInterval(() => {
      button.textContent = `${doing}, ${duration((performance.now() - started) / 1000)}`;
    }, 200);
    button.disabled = true;
    faults += 1;
    try {
      await call(path);
      log(`${label}: it answered, which was not expected`, "bad");
    } catch (error) {
      log(`${error.status || "no answer"} after ${milliseconds(performance.now() - started)}: ${error.message}`, "bad");
    }
    clearInterval(clock);
    faults -= 1;
    faultEnd = performance.now();
    button.textContent = label;
    button.disabled = false;
    look();
  };
}

fault($("crash"), "/crash", "crashing");
fault($("hang"), "/hang", "hanging");

look();
setInterval(look, 1000);
