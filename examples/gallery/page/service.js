// Requests to the service, and what it says when one fails.

/** The service answers a failure with `{"error": "…"}`; anything else is shown by its status. */
export function readable(status, body) {
  try {
    return JSON.parse(body).error;
  } catch {
    return status ? `the service answered ${status}` : "the service cannot be reached";
  }
}

export async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { method: "POST", ...options });
  } catch (error) {
    throw Object.assign(new Error(readable(0, "")), { status: 0, cause: error });
  }
  if (!response.ok) {
    throw Object.assign(new Error(readable(response.status, await response.text())), { status: response.status });
  }
  return response;
}

/** Yields the events of a response one by one. `EventSource` cannot send a picture along, `fetch` can. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const event = { name: "message", data: "" };
      for (const line of text.slice(0, end).split("\n")) {
        if (line.startsWith("event: ")) event.name = line.slice(7);
        if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      text = text.slice(end + 2);
      yield event;
    }
  }
}
