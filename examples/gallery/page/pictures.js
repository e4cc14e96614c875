// Pictures on their way in: dropped, chosen or tried; uploaded, made small, described.

import { call, readable } from "./service.js";
import { sheet } from "./sheet.js";
import { $, bytes, element, log, milliseconds } from "./show.js";

const MAX_UPLOAD = 32 * 1024 * 1024;

async function take(files) {
  for (const file of files) await add(file);
}

$("file").onchange = async (event) => {
  const files = [...event.target.files];
  event.target.value = "";
  await take(files);
};

for (const type of ["dragenter", "dragover"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    $("curtain").hidden = false;
  });
}
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("curtain").hidden = true;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  $("curtain").hidden = true;
  take([...event.dataTransfer.files]);
});

for (const button of document.querySelectorAll("[data-sample]")) {
  button.onclick = async () => {
    const name = button.dataset.sample;
    try {
      const response = await call(`/samples/${name}`, { method: "GET" });
      await add(new File([await response.blob()], name));
    } catch (error) {
      log(`${name}: ${error.message}`, "bad");
    }
  };
}

function add(file) {
  const card = new Card(file);
  $("pictures").prepend(card.node);
  if (file.size > MAX_UPLOAD) {
    return card.fail(`this file has ${bytes(file.size)}; at most 32 MiB are accepted`);
  }
  return card.upload();
}

class Card {
  constructor(file) {
    this.file = file;
    this.node = element("li", "card");
    this.frame = element("div", "frame");
    this.progress = element("progress");
    this.progress.max = 1;
    this.progress.value = 0;
    this.progress.setAttribute("aria-label", `Upload of ${file.name}`);
    this.frame.append(this.progress);
    this.facts = element("div", "facts", "uploading");
    const name = element("div", "name", file.name);
    name.title = file.name;
    this.node.append(this.frame, name, this.facts);
  }

  // XMLHttpRequest, because fetch does not tell how much of an upload has left.
  upload() {
    const started = performance.now();
    const request = new XMLHttpRequest();
    request.open("POST", "/thumbnail?size=320");
    request.responseType = "blob";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) this.progress.value = event.loaded / event.total;
    };
    request.upload.onload = () => {
      this.progress.removeAttribute("value");
      this.facts.textContent = "in a dirty worker";
    };
    return new Promise((resolve) => {
      request.onerror = () => resolve(this.fail(readable(0, "")));
      request.onload = async () => {
        if (request.status !== 200) {
          return resolve(this.fail(readable(request.status, await request.response.text())));
        }
        this.show(request.response, performance.now() - started);
        await this.describe();
        resolve();
      };
      request.send(this.file);
    });
  }

  show(thumbnail, took) {
    this.took = took;
    const image = element("img");
    image.src = URL.createObjectURL(thumbnail);
    image.alt = `Thumbnail of ${this.file.name}`;
    image.classList.toggle("contain", thumbnail.type === "image/png");
    const button = element("button", "frame");
    button.type = "button";
    button.setAttribute("aria-label", `Show the contact sheet of ${this.file.name}`);
    button.append(image);
    button.onclick = () => this.present();
    this.frame.replaceWith(button);
    this.facts.textContent = `made in ${milliseconds(took)}`;
  }

  async describe() {
    try {
      this.info = await (await call("/info", { body: this.file })).json();
      const { width, height, format } = this.info;
      this.facts.textContent = `${width} × ${height} ${format}\n${bytes(this.info.bytes)}, made in ${milliseconds(this.took)}`;
      await this.present();
    } catch (error) {
      this.fail(error.message);
    }
  }

  async present() {
    document.querySelectorAll(".card.shown").forEach((card) => card.classList.remove("shown"));
    this.node.classList.add("shown");
    await sheet.stream(this.file, this.info.width / this.info.height);
  }

  fail(message) {
    this.node.classList.add("broken");
    this.frame.replaceChildren();
    this.facts.textContent = message;
    this.facts.setAttribute("role", "alert");
    log(`${this.file.name}: ${message}`, "bad");
  }
}
