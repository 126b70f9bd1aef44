// What both pages say about an answer, above its JSON.
"use strict";

window.answers = {
  /**
   * Sends one request. Gives the answer as text, what to say of it, and whether to say it loudly. It does not throw: a
   * connection that was lost is an answer, too, of which nobody knows whether the write happened.
   */
  async ask(send, body, headers) {
    const began = performance.now();
    const writes = /\bmutation\b/.test((body.query ?? "").replace(/#.*/g, ""));
    let response;
    try {
      response = await send(body, headers);
      const text = await response.text();
      const took = `${Math.round(performance.now() - began)} ms`;
      let answer;
      try {
        answer = JSON.parse(text);
      } catch {
        return this.lost(`HTTP ${response.status}, and no JSON`, writes, text);
      }
      const errors = this.errorsOf(answer);
      const parts = [`HTTP ${response.status}`, ...new Set(errors.map(this.named)), took];
      if (!errors.length) parts.splice(1, 0, "no errors");
      const id = response.headers.get("x-request-id");
      return {
        text: JSON.stringify(answer, null, 2),
        summary: parts.join(" · "),
        detail: id ? `request ${id}` : "",
        loud: errors.length > 0,
      };
    } catch (error) {
      if (response) return this.lost(`HTTP ${response.status}, then the connection was lost`, writes, "");
      return this.lost("The connection was lost", writes, "");
    }
  },

  lost(what, writes, text) {
    const then = writes
      ? "The write may have happened: read the record before you run it again."
      : "Nothing was written: you can run it again.";
    return { text, summary: `${what}. ${then}`, detail: "", loud: true };
  },

  /** The errors of a response, and those that its payloads hold as data, or the items of its bulks. */
  errorsOf(answer) {
    const payloads = Object.values(answer?.data ?? {}).flat();
    const items = payloads.flatMap((payload) => payload?.results ?? []);
    const asData = [...payloads, ...items].flatMap((payload) => payload?.userErrors ?? []);
    return [...(answer?.errors ?? []).map(({ extensions }) => extensions ?? {}), ...asData];
  },

  named: ({ code, reason, outcome }) => [reason ?? code ?? "error", outcome].filter(Boolean).join(" "),
};
