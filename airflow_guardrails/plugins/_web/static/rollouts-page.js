// The standalone page: shows what its address asks for.
import { mount } from "./rollouts.js";

const asked = new URLSearchParams(location.search);

mount(document.getElementById("rollouts"), {
  base: new URL("../..", import.meta.url).pathname.replace(/\/$/, ""),
  view: asked.has("task_id") ? "rollout" : "list",
  endpoint: asked.get("endpoint"),
  dagId: asked.get("dag_id"),
  runId: asked.get("run_id"),
  taskId: asked.get("task_id"),
  mapIndex: Number(asked.get("map_index") ?? -1),
});
