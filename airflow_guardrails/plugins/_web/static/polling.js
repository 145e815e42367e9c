// Reads a resource as often as it may have changed, and not at all while nobody looks.

const LIVE = 3_000;
const IDLE = 10_000;
const LONGEST = 120_000;

/**
 * @param resource what to read
 * @param onAnswer called with each answer
 * @param onError called with each error; the next attempt waits twice as long
 * @param isLive whether something may change within seconds
 */
export class Polling {
  #timer = null;
  #failures = 0;
  #aborting = null;

  constructor({ resource, onAnswer, onError, isLive }) {
    Object.assign(this, { resource, onAnswer, onError, isLive });
    this.onVisibility = () => (document.hidden ? this.#pause() : this.now());
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  /** Read at once. */
  async now() {
    this.#pause();
    const aborting = new AbortController();
    this.#aborting = aborting;
    const [answer, error] = await this.resource.read(aborting.signal).then(
      (read) => [read, null],
      (refusal) => [null, refusal],
    );
    if (aborting.signal.aborted) return;
    this.#failures = error ? this.#failures + 1 : 0;
    if (error) this.onError(error);
    else this.onAnswer(answer);
    if (!document.hidden) this.#timer = setTimeout(() => this.now(), this.#pauseBetween());
  }

  stop() {
    this.#pause();
    document.removeEventListener("visibilitychange", this.onVisibility);
  }

  #pauseBetween() {
    const usual = this.isLive() ? LIVE : IDLE;
    return this.#failures ? Math.min(LIVE * 2 ** this.#failures, LONGEST) : usual;
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#aborting?.abort();
  }
}
