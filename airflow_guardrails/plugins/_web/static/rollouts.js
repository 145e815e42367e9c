// The page "Rollouts". It mounts itself into an element: of its own page, or of Airflow's UI.

import { Refused, Resource, keyOf, listUrl, pageUrl, rolloutUrl } from "./api.js";
import { cardView } from "./card.js";
import { h, link, patch } from "./dom.js";
import { announcement } from "./headline.js";
import { listView } from "./list.js";
import { Polling } from "./polling.js";
import { RollBacks } from "./roll-back.js";
import { rolloutView } from "./rollout.js";
import { shadowTestView } from "./shadow-test.js";
import { Stops } from "./stop.js";
import { Clock, inWords, zoneName } from "./time.js";
import { icon, readable } from "./words.js";

const SECOND = 1000;

/**
 * Show rollouts in an element.
 *
 * @param element where; its content is replaced
 * @param options base: prefix of Airflow's paths, without a slash at its end; view: "list", "rollout" or "card";
 *   dagId, runId, taskId, mapIndex: which rollout
 * @returns a function that removes everything again
 */
export function mount(element, options = {}) {
  addStylesheet();
  const page = new Page(element, options);
  page.show();
  return () => page.unmount();
}

class Page {
  stops = new Stops();
  rollBacks = new RollBacks();
  filters = { endpoint: "", live: "", outcome: "", kind: "" };
  clock = null;
  #answer = null;
  #older = { items: [], next: undefined };
  #error = null;
  #answeredAt = null;
  #polling = null;

  constructor(element, { base = "", view = "list", endpoint, dagId, runId, taskId, mapIndex }) {
    this.base = base.replace(/\/+$/, "");
    this.view = view;
    this.filters.endpoint = endpoint ?? "";
    this.key =
      view === "rollout"
        ? keyOf({ dag_id: dagId, run_id: runId, task_id: taskId, map_index: mapIndex })
        : null;
    // On its own page the address follows; within Airflow's UI it belongs to Airflow.
    this.isStandalone = location.pathname === `${this.base}/airflow-guardrails/rollouts`;
    this.#build(element);
    this.ticking = setInterval(() => !document.hidden && this.render(), SECOND);
    this.onPopState = () => this.isStandalone && this.#followAddress();
    window.addEventListener("popstate", this.onPopState);
    this.more = () => this.#readOlder();
  }

  #build(element) {
    this.body = h("div", { class: "body" });
    this.live = h("p", { class: "hidden", role: "status", "aria-live": "polite" });
    this.root = h("div", { class: `rollouts view-${this.view}` }, this.live, this.body);
    if (this.isStandalone) document.documentElement.classList.add("rollouts-page");
    element.replaceChildren(this.root);
  }

  /** Read and show the current view from the beginning. */
  show({ keep = false } = {}) {
    this.#polling?.stop();
    if (!keep) this.#answer = null;
    this.#error = this.#answeredAt = null;
    this.#older = { items: [], next: undefined };
    const url = this.key ? rolloutUrl(this.base, this.key) : listUrl(this.base, this.filters);
    this.#polling = new Polling({
      resource: new Resource(url),
      onAnswer: (answer) => this.#onAnswer(answer),
      onError: (error) => this.#onError(error),
      isLive: () => this.#items().some((item) => item.live) || this.stops.isWaiting(this.#items()),
    });
    this.render();
    this.#polling.now();
  }

  reload() {
    this.#polling.now();
  }

  filter(change) {
    this.filters = { ...this.filters, ...change };
    // What is shown stays until the answer is here, so that the filters keep the focus.
    this.show({ keep: true });
  }

  /** A link to a rollout that opens it in place. */
  open(item, text) {
    const key = keyOf(item);
    const follow = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || this.view === "card") return;
      event.preventDefault();
      this.#go(key);
    };
    return link(pageUrl(this.base, key), text, { onclick: follow });
  }

  #go(key) {
    this.key = key;
    if (this.isStandalone) history.pushState(null, "", pageUrl(this.base, key ?? {}));
    this.show();
    this.root.scrollIntoView({ block: "nearest" });
  }

  #followAddress() {
    const given = new URLSearchParams(location.search);
    const [dag_id, run_id, task_id, map_index] = ["dag_id", "run_id", "task_id", "map_index"].map((name) =>
      given.get(name),
    );
    this.key = dag_id ? keyOf({ dag_id, run_id, task_id, map_index: Number(map_index ?? -1) }) : null;
    this.show();
  }

  #onAnswer({ data, now }) {
    this.#error = null;
    this.#answeredAt = new Date();
    if (data) this.#answer = data;
    // A machine that slept has lost time: the server's Date corrects it, in whole seconds.
    const lost =
      this.clock &&
      Math.abs(this.clock.server + performance.now() - this.clock.fetchedAt - Date.parse(now)) > 2 * SECOND;
    if (data || lost) this.clock = new Clock(now, performance.now());
    this.render();
    this.#announce();
  }

  #onError(error) {
    this.#error = error;
    this.render();
  }

  async #readOlder() {
    const before = this.#older.next ?? this.#answer.next;
    try {
      const { data } = await new Resource(listUrl(this.base, this.filters, before)).read();
      this.#older = { items: [...this.#older.items, ...data.items], next: data.next };
    } catch (error) {
      this.#error = error;
    }
    this.render();
  }

  #items() {
    if (!this.#answer) return [];
    return this.#answer.item ? [this.#answer.item] : this.#answer.items;
  }

  /** Bring the page in line with what is known. */
  render() {
    patch(this.body, h("div", null, this.#bar(), this.#trouble(), this.#content(), this.#footer()));
  }

  #bar() {
    if (this.view === "card" || (this.view === "rollout" && !this.isStandalone)) return null;
    if (!this.key) return h("h1", { "data-key": "top" }, "Rollouts");
    const back = (event) => {
      event.preventDefault();
      this.#go(null);
    };
    return h(
      "p",
      { class: "back", "data-key": "back" },
      link(pageUrl(this.base), "← All rollouts", { onclick: back }),
    );
  }

  #trouble() {
    if (!this.#error) return null;
    const text = troubleInWords(this.#error, this.#answeredAt);
    return h(
      "p",
      { class: "notice warn", role: "alert", "data-key": "trouble" },
      icon("warning"),
      h("span", null, text),
    );
  }

  #content() {
    if (!this.#answer)
      return this.#error ? null : h("p", { class: "muted", "data-key": "loading" }, "Loading …");
    if (this.#answer.item) {
      const view = this.#answer.item.kind === "shadow_test" ? shadowTestView : rolloutView;
      return readable(this.#answer.item, () => view(this.#answer, this));
    }
    return (this.view === "card" ? cardView : listView)(this.#withOlder(), this);
  }

  #withOlder() {
    const { items, next } = this.#answer;
    const known = new Set(items.map((item) => JSON.stringify(keyOf(item))));
    const older = this.#older.items.filter((item) => !known.has(JSON.stringify(keyOf(item))));
    return { items: [...items, ...older], next: this.#older.next === undefined ? next : this.#older.next };
  }

  #footer() {
    return this.view === "card"
      ? null
      : h("p", { class: "muted footer", "data-key": "footer" }, `Times: ${zoneName()}`);
  }

  #announce() {
    const text = this.#items()
      .filter((item) => this.key || item.live)
      .map(announcement)
      .join(". ");
    if (this.live.textContent !== text) this.live.textContent = text;
  }

  unmount() {
    this.#polling?.stop();
    clearInterval(this.ticking);
    window.removeEventListener("popstate", this.onPopState);
    this.root.remove();
  }
}

function troubleInWords(error, answeredAt) {
  const shown = answeredAt ? ` Showing what was known at ${inWords(answeredAt, { zone: true })}.` : "";
  if (!(error instanceof Refused)) return `Connection lost.${shown} Trying again.`;
  const texts = {
    401: "Your session has expired: log in to Airflow again, then reload this page.",
    // Airflow also answers so if it did not sign the session's token, as after a restart with another secret.
    403: "You may not see this: it takes the rights to read the DAG and its XComs. If you have them, log in to Airflow again, then reload this page.",
    404: "There is no rollout of this task instance, or it is not yours to see.",
  };
  return `${texts[error.status] ?? `Airflow answered with an error (${error.status}). Trying again.`}${shown}`;
}

function addStylesheet() {
  const href = new URL("./rollouts.css", import.meta.url).href;
  if ([...document.querySelectorAll("link[rel=stylesheet]")].some((sheet) => sheet.href === href)) return;
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = href;
  document.head.append(sheet);
}
