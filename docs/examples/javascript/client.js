// A client of a Mamba session; docs/reference/wire.md is all it was written from.  node client.js RUNTIME_DIR [follow]
"use strict";
const { Dealer, Subscriber } = require("zeromq");

class Session {
  constructor(folder) {
    this.waiting = new Map(); // number of a request -> who waits for its reply
    this.sending = Promise.resolve(); // this library sends one message at a time
    this.number = 0;
    this.requests = new Dealer({ linger: 0, immediate: true });
    this.requests.events.on("disconnect", () => this.loseAll());
    this.requests.connect(`ipc://${folder}/rpc`);
    this.notices = new Subscriber({ linger: 0 });
    this.notices.subscribe("");
    this.notices.connect(`ipc://${folder}/notify`);
    this.receiveAll();
  }

  request(typ, fields = {}) {
    const number = String(++this.number);
    const frames = [number, "", JSON.stringify({ typ, ...fields })];
    this.sending = this.sending.then(() => this.requests.send(frames));
    return new Promise((resolve, reject) => this.waiting.set(number, { resolve, reject }));
  }

  async receiveAll() {
    for await (const frames of this.requests) {
      const [who, reply] = [this.waiting.get(String(frames[0])), JSON.parse(frames.at(-1))];
      this.waiting.delete(String(frames[0]));
      if (reply.err) who?.reject(Object.assign(new Error(reply.desc), { code: reply.err }));
      else who?.resolve(reply.ret);
    }
  }

  loseAll() {
    const lost = Object.assign(new Error("the session host ended"), { code: "connection-lost" });
    for (const who of this.waiting.values()) who.reject(lost);
    this.waiting.clear();
    this.isNew = true; // the next host counts from 1, perhaps just where the last one ended
  }

  async *follow() { // the state first, again after each gap and each start of a console; notices in between
    let state = await this.request("state"), last = {};
    yield { state };
    for await (const [frame] of this.notices) {
      const notice = JSON.parse(frame), { typ, seq } = notice;
      const seen = last[typ] ?? 0, told = state.seq[typ] ?? 0, anew = this.isNew || seq <= seen;
      last[typ] = seq;
      if (seq <= told && !anew) continue; // the state held it already
      const gap = anew || seq !== Math.max(seen, told) + 1;
      if (gap) yield { gap: typ, expected: Math.max(seen, told) + 1, seen: seq };
      yield { notice };
      if (!gap && typ !== "session/started") continue;
      if (anew) [last, this.isNew] = [{}, false];
      yield { state: (state = await this.request("state")) };
    }
  }
}

async function main(folder, mode) {
  const session = new Session(folder), print = (line) => console.log(JSON.stringify(line));
  if (mode === "follow") for await (const item of session.follow()) print(item);
  print({ ping: await session.request("ping"), version: await session.request("wire/version") });
  print({ devices: await session.request("dev/keys", { path: "M" }) });
  print({ result: await session.request("cmd", { cmd: "[1 + 1, 'two']", origin: "javascript" }) });
  await session.request("cmd", { cmd: "1 / 0", origin: "javascript" }).catch((e) => print({ err: e.code, desc: e.message }));
  await session.request("pnig").catch((e) => print({ err: e.code }));
  const both = [session.request("cmd", { cmd: "import time; time.sleep(0.5)" }), session.request("ping")];
  print({ first: await Promise.race(both) }, await Promise.all(both)); // a slow one delays no other
  for await (const { state, notice } of session.follow()) {
    if (state) print({ devices: state.devices.M, id: (await session.request("cmd", { cmd: "6 * 7", wait: false })).id });
    if (notice?.typ === "cmd/done" && notice.text === "6 * 7") break;
  }
  print({ done: true });
}

main(...process.argv.slice(2)).then(() => process.exit(0));
