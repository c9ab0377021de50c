// Swim's JavaScript client, driven by lines of JSON: `node client.mjs warp://host:port`. See ../peers.py.

import { createInterface } from "node:readline";
import { WarpClient } from "@swim/client";

const host = process.argv[2];
const client = new WarpClient();
client.mount();

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");
// nothing and an empty record are one on the wire
const plain = (value) => {
  const like = value?.toLike?.() ?? null;
  return like !== null && typeof like === "object" && Object.keys(like).length === 0 ? null : like;
};

const open = { value: "downlinkValue", map: "downlinkMap", list: "downlinkList", event: "downlink" };
const links = {};

const state = {
  value: (link) => plain(link.get()),
  map: (link) => [...pairs(link.entries())],
  list: (link) => [...items(link.entries())],
};

function* pairs(cursor) {
  while (!cursor.isEmpty()) {
    const [key, value] = cursor.head();
    cursor.step();
    yield [plain(key), plain(value)];
  }
}

// each element as its key in Recon and its value
function* items(cursor) {
  while (!cursor.isEmpty()) {
    const [key, value] = cursor.head();
    cursor.step();
    yield [key?.toRecon?.() ?? String(key), plain(value)];
  }
}

function link({ on, kind, node, lane, prio, rate }) {
  const show = () => {
    if (links[on]?.opened) tell({ on, state: state[kind](links[on]) });
  };
  const changed = () => setImmediate(show);
  const made = client[open[kind]]({
    hostUri: host,
    nodeUri: node,
    laneUri: lane,
    ...(prio === undefined ? {} : { prio }),
    ...(rate === undefined ? {} : { rate }),
    didLink: () => tell({ on, is: "linked" }),
    didSync: () => {
      if (kind !== "event") show();
      tell({ on, is: "synced" });
    },
    didUnlink: () => tell({ on, is: "unlinked" }),
    didConnect: () => tell({ on, is: "connected" }),
    didDisconnect: () => tell({ on, is: "disconnected" }),
    didClose: () => tell({ on, is: "closed" }),
    onEvent: (value) => kind === "event" && tell({ on, event: plain(value) }),
    ...(kind === "value" ? { didSet: changed } : {}),
    ...(kind === "map" ? { didUpdate: changed, didRemove: changed, didClear: changed, didDrop: changed, didTake: changed } : {}),
    ...(kind === "list"
      ? { didUpdate: changed, didMove: changed, didRemove: changed, didClear: changed, didDrop: changed, didTake: changed }
      : {}),
  });
  links[on] = made;
  made.open();
}

const steps = {
  open: link,
  close: ({ on }) => links[on].close(),
  command: ({ node, lane, body }) => client.command(host, node, lane, body),
  set: ({ on, value }) => links[on].set(value),
  put: ({ on, key, value }) => links[on].set(key, value),
  remove: ({ on, key }) => links[on].delete(key),
  clear: ({ on }) => links[on].clear(),
  take: ({ on, count }) => links[on].take(count),
  drop: ({ on, count }) => links[on].drop(count),
  push: ({ on, values }) => links[on].push(...values),
  insert: ({ on, index, value }) => links[on].insert(index, value),
  replace: ({ on, index, value }) => links[on].set(index, value),
  move: ({ on, from, to }) => links[on].move(from, to),
  delete: ({ on, index }) => links[on].remove(index),
};

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  try {
    steps[step.do](step);
    tell({ done: step.number });
  } catch (error) {
    tell({ error: String(error?.stack ?? error), done: step.number });
  }
}
process.exit(0);
