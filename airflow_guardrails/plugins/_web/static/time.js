// Times of a report are on AWS's clock. The browser's clock is never used to compare them.

import { h } from "./dom.js";

const MINUTE = 60_000;
const STALE = 3 * MINUTE;

/**
 * The clocks of one response: what time it is now on the server and on AWS's clock.
 *
 * @param now time of the server when it answered
 * @param fetchedAt performance.now() at that moment
 */
export class Clock {
  constructor(now, fetchedAt) {
    this.server = Date.parse(now);
    this.fetchedAt = fetchedAt;
  }

  /** Milliseconds since the report was published; null if unknown. */
  age(item) {
    const age = this.server - Date.parse(item.seen_at) + performance.now() - this.fetchedAt;
    return Number.isFinite(age) ? Math.max(0, age) : null;
  }

  /** The time on AWS's clock in milliseconds; null if SageMaker's last answer is unknown. */
  aws(item) {
    const now = Date.parse(item.report.as_of) + (this.age(item) ?? NaN);
    return Number.isFinite(now) ? now : null;
  }

  /** Milliseconds until a time of the report, negative if it has passed; null if unknown. */
  until(item, iso) {
    const left = Date.parse(iso) - (this.aws(item) ?? NaN);
    return Number.isFinite(left) ? left : null;
  }

  isStale(item) {
    return item.live && (this.age(item) ?? 0) > STALE;
  }
}

/** "12 s", "18 min", "3 h 5 min", "2 days". */
export function duration(milliseconds) {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10 && seconds % 60) return `${minutes} min ${seconds % 60} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** A time in the reader's zone, with the zone's name if asked for; ISO 8601 on hover. */
export function time(iso, { zone = false } = {}) {
  const date = new Date(iso ?? NaN);
  if (Number.isNaN(date.getTime())) return h("span", null, "unknown");
  return h("time", { datetime: date.toISOString(), title: date.toISOString() }, inWords(date, { zone }));
}

/** The same as text. */
export function inWords(date, { zone = false } = {}) {
  if (Number.isNaN(date.getTime())) return "unknown";
  const today = new Date().toDateString() === date.toDateString();
  return new Intl.DateTimeFormat("en-GB", {
    ...(today ? {} : { day: "numeric", month: "short" }),
    hour: "2-digit",
    minute: "2-digit",
    ...(zone ? { timeZoneName: "short" } : {}),
  }).format(date);
}

/** "Europe/Berlin (GMT+1)". */
export function zoneName() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts();
  const short = parts.find((part) => part.type === "timeZoneName")?.value;
  return short && short !== timeZone ? `${timeZone} (${short})` : timeZone;
}
