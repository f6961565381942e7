const RETRY = 1000; // ms

// Changes on their way to the server: each stays in the browser until it is answered. The server
// knows a repetition by its revision, so that sending twice, or by two windows, does no harm.
export class Outbox {
  #waiting = new Map(); // in the order in which they were made
  #sending = false;
  #number = 0;
  #away = "";
  #told;

  constructor(told) {
    this.#told = told;
  }

  get waiting() {
    return this.#waiting.size;
  }

  put(folder, kind, body) {
    this.#number += 1;
    const key = `label:${folder}:${Date.now()}-${String(this.#number).padStart(6, "0")}:${body.revision}`;
    const content = { kind, body };
    this.#waiting.set(key, content);
    try {
      localStorage.setItem(key, JSON.stringify(content));
    } catch { /* full or forbidden: it is still in this window */ }
    this.#report();
    this.#send();
  }

  // Take over what windows that are gone have left.
  adopt(folder) {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(`label:${folder}:`)).sort();
    for (const key of keys) {
      if (!this.#waiting.has(key)) this.#waiting.set(key, JSON.parse(localStorage.getItem(key)));
    }
    this.#report();
    this.#send();
  }

  away(reason = "the server is away") {
    this.#away = reason;
    this.#report();
  }

  reached() {
    if (!this.#away || this.#waiting.size) return;
    this.#away = "";
    this.#report();
  }

  #report() {
    this.#told.changed(this.#waiting.size, this.#away);
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#waiting.size) {
      const [key, content] = this.#waiting.entries().next().value;
      let answer;
      let result;
      try {
        const headers = { "Content-Type": "application/json" };
        answer = await fetch(`/${content.kind}`, { method: "POST", headers, body: JSON.stringify(content.body) });
        result = await answer.json();
      } catch {
        this.away();
      }
      if (answer && answer.status >= 500) this.away(result?.detail);
      if (!result || answer.status >= 500) {
        await new Promise((resolve) => { setTimeout(resolve, RETRY); });
        continue;
      }
      this.#waiting.delete(key);
      localStorage.removeItem(key);
      this.#away = "";
      this.#report();
      if (answer.ok) this.#told.answered(content, result);
      else this.#told.refused(content, result.detail);
    }
    this.#sending = false;
  }
}
