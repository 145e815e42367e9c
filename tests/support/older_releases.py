"""What older releases have stored in Airflow's database."""

from __future__ import annotations

import json

VERSION_1 = json.loads("""
{
  "rollout": {
    "endpoint_name": "churn", "target": "churn-v2", "previous": "churn-v1",
    "launched_at": "2026-03-02T10:00:00+00:00", "status_before": "InService",
    "guardrails": {
      "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
          "Type": "CANARY", "WaitIntervalInSeconds": 600,
          "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25}
        },
        "TerminationWaitInSeconds": 0
      },
      "AutoRollbackConfiguration": {
        "Alarms": [{"AlarmName": "errors"}, {"AlarmName": "airflow-guardrails-abort-88b2072e3e17"}]
      }
    },
    "grace": 120.0, "max_wait": 5400.0, "adopted": null
  },
  "seen_in_flight": true,
  "first_look_at": "2026-03-02T10:00:01+00:00",
  "started_at": "2026-03-02T10:00:00.500000+00:00",
  "stages": [
    {"stage": "Creating", "at": "2026-03-02T10:00:01+00:00", "instances": 0, "desired_instances": 4}
  ],
  "stages_complete": true,
  "rollback_alarms": ["errors", "airflow-guardrails-abort-88b2072e3e17"],
  "timed_out": false, "unanswered": false, "warnings": ["noted"],
  "findings": [{"code": "only_switch", "severity": "warning", "text": "t", "fix": "f"}],
  "suspected": null,
  "analysis": {
    "rules": [{
      "metric": "Invocation5XXErrors", "stat": "Sum", "margin": 0.05, "direction": "increase",
      "critical": false, "on_missing": "inconclusive", "min_requests": 100, "min_minutes": 5,
      "namespace": "AWS/SageMaker", "dimensions": {}
    }],
    "every": 60.0, "warm_up": 120.0, "alpha": 0.05, "observe_only": false, "on_inconclusive": "hold",
    "judge": "intervals"
  }
}
""")
