"""
Frozen values for what AWS returned: endpoint, configuration, alarms, abort switch, metrics, experiment.

They have no PascalCase keys: ``aws`` parses the responses. They make no decisions about a rollout or a shadow
test: ``domain.rollout`` and ``domain.shadow`` do.
"""
