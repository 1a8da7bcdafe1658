import assert from "node:assert/strict";
import { test } from "node:test";
import { messages, type Message } from "../src/lib/sse";

function all(...parts: string[]): (Message | null)[] {
  const got: (Message | null)[] = [];
  const feed = messages((m) => got.push(m));
  parts.forEach(feed);
  return got;
}

test("messages, however they are cut", () => {
  const text = "retry: 3000\nid: 6\nevent: ready\ndata: {}\n\n:\n\nid: 7\ndata: a\ndata: b\n\n";
  const whole = all(text);
  assert.deepEqual(whole, [{ type: "ready", id: "6", data: "{}" }, null, { type: "message", id: "7", data: "a\nb" }]);
  assert.deepEqual(all(...text), whole);
  assert.deepEqual(all(text.replaceAll("\n", "\r\n")), whole);
  assert.deepEqual(all(...text.replaceAll("\n", "\r\n")), whole);
});

test("what is not whole is not told; an id without data is kept for the next", () => {
  assert.deepEqual(all("data: x\n"), []);
  assert.deepEqual(all("id: 3\n\ndata: x\n\n"), [{ type: "message", id: "3", data: "x" }]);
  assert.deepEqual(all("data\n\n"), [{ type: "message", id: "", data: "" }]);
  assert.throws(() => all("data: " + "x".repeat(9 << 20)));
});
