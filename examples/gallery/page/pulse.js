// The strip: small calls that should not notice what happens to others.

import { call } from "./service.js";
import { $, element, log, milliseconds } from "./show.js";
import { faulty } from "./workers.js";

const pulse = { times: [], answered: 0, failed: 0 };
for (let bar = 0; bar < 64; bar++) $("pulse").append(element("i", "none"));

async function beat() {
  const bar = element("i", "none");
  $("pulse").firstChild.remove();
  $("pulse").append(bar);
  const started = performance.now();
  let kind = faulty() ? "fault" : "";
  try {
    await call("/ping", { signal: AbortSignal.timeout(10_000) });
    pulse.answered += 1;
  } catch (error) {
    kind = "failed";
    pulse.failed += 1;
    $("failed").className = "some";
    if (error.status) log(`a small call failed: ${error.message}`, "bad");
  }
  const took = performance.now() - started;
  if (kind === "" && faulty()) kind = "fault";
  bar.className = kind;
  // Half a millisecond is the ground, four seconds the ceiling.
  bar.style.height = `${Math.min(100, Math.max(6, 7.7 * Math.log2(took * 2)))}%`;
  pulse.times = [...pulse.times, took].slice(-240);
  const sorted = pulse.times.toSorted((a, b) => a - b);
  $("answered").textContent = pulse.answered;
  $("failed").textContent = pulse.failed;
  $("median").textContent = milliseconds(sorted[sorted.length >> 1]);
  $("slowest").textContent = milliseconds(sorted.at(-1));
}

setInterval(beat, 250);
