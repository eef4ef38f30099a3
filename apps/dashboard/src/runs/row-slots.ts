/**
 * Which element shows which line of a scrolled list. A line keeps its element while it is mounted; a line that comes
 * into sight takes over the element of one that has left: filling one costs a fraction of making one.
 */
export class RowSlots {
  /** By the line’s name. */
  #slots = new Map<string, number>()

  /** The slot of each of the mounted lines, in their order. */
  assign(lines: readonly string[]): number[] {
    const mounted = new Set(lines)
    const free: number[] = []
    for (const [line, slot] of this.#slots) if (!mounted.has(line)) free.push(slot)
    let next = this.#slots.size
    const kept = this.#slots
    this.#slots = new Map()
    for (const line of lines) {
      const slot = kept.get(line)
      if (slot !== undefined) this.#slots.set(line, slot)
    }
    const used = new Set(this.#slots.values())
    const unused = () => {
      while (used.has(next)) next++
      return next
    }
    for (const line of lines) {
      if (this.#slots.has(line)) continue
      const slot = free.pop() ?? unused()
      used.add(slot)
      this.#slots.set(line, slot)
    }
    return lines.map((line) => this.#slots.get(line)!)
  }
}
