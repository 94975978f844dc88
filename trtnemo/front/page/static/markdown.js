// A small, safe Markdown: code fences, headings, lists, bold and code, as nodes that hold text.
import { copyButton, el } from "./dom.js";

/** Shows a text that grows: blocks that are complete stay as they are, only the last one is made anew. */
export class Markdown {
  constructor(root) {
    this.root = root;
    this.done = 0;
    this.tail = [];
  }

  /** Show the text, which begins with what was shown before. */
  update(text) {
    for (const node of this.tail) node.remove();
    this.tail = [];
    for (const block of blocks(text.slice(this.done))) {
      const node = draw(block);
      this.root.append(node);
      if (block.isClosed) this.done += block.length;
      else this.tail.push(node);
    }
  }
}

/** Return the blocks of a text: {kind, lines, length, isClosed}; what a line that still grows has begun is open. */
export function blocks(text) {
  const found = [];
  let block = null;
  const close = (isClosed) => {
    if (block) found.push({ ...block, isClosed });
    block = null;
  };
  for (const line of text.split(/(?<=\n)/)) {
    const isWhole = line.endsWith("\n");
    const bare = isWhole ? line.slice(0, -1) : line;
    const fence = isWhole ? bare.match(/^\s*(`{3,}|~{3,})\s*([\w+#.-]*)\s*$/) : null;
    if (block?.kind === "code") {
      block.length += line.length;
      if (fence && fence[1].startsWith(block.fence) && !fence[2]) close(true);
      else block.lines.push(bare);
    } else if (fence) {
      close(true);
      block = { kind: "code", fence: fence[1], language: fence[2], lines: [], length: line.length };
    } else {
      const kind = kindOf(bare, block);
      if (block && block.kind !== kind) close(isWhole);
      block ??= { kind, lines: [], length: 0 };
      block.lines.push(bare);
      block.length += line.length;
    }
  }
  close(false);
  return found;
}

function kindOf(line, block) {
  if (!line.trim()) return "blank";
  if (/^#{1,6}\s/.test(line)) return "heading";
  if (/^\s*[-*+]\s/.test(line)) return "ul";
  if (/^\s*\d{1,9}[.)]\s/.test(line)) return "ol";
  if ((block?.kind === "ul" || block?.kind === "ol") && /^\s/.test(line)) return block.kind; // goes on with its item
  return "p";
}

function draw(block) {
  if (block.kind === "code") return codeBlock(block.lines.join("\n"), block.language);
  if (block.kind === "ul" || block.kind === "ol") return list(block);
  if (block.kind === "heading") {
    return el("div", {}, ...block.lines.map((line) => el("p", { class: "heading" }, ...inline(line.replace(/^#+\s/, "")))));
  }
  if (block.kind === "blank") return document.createTextNode("");
  return el("p", {}, ...inline(block.lines.join("\n")));
}

function list(block) {
  const items = [];
  for (const line of block.lines) {
    const start = line.match(/^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/);
    if (start) items.push({ depth: Math.min(start[1].length >> 1, 4), number: start[2], text: start[3] });
    else if (items.length) items.at(-1).text += `\n${line.trim()}`;
  }
  const first = Number(items[0]?.number ?? 1);
  return el(block.kind, { start: block.kind === "ol" && first !== 1 ? first : null },
    ...items.map((item) => el("li", { class: item.depth ? `deep${item.depth}` : null }, ...inline(item.text))));
}

/** Return a text with bold and code as nodes. */
function inline(text) {
  return text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((part, place) => {
    if (place % 2 === 0) return part;
    return part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : el("strong", {}, part.slice(2, -2));
  });
}

/** Make a block of code that can be copied. */
export function codeBlock(text, language = "") {
  return el("div", { class: "code-block" },
    el("div", { class: "code-head" }, el("span", {}, language), copyButton(() => text)),
    el("pre", { tabindex: 0 }, el("code", {}, text)));
}
