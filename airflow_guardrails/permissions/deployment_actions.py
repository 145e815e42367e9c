"""The permissions for what an update creates, for the versions of an endpoint, and for the clean-up."""

from __future__ import annotations

from airflow_guardrails.permissions.actions import Kind, Permission

_WITHOUT_TAGS = "it is created without tags, which a warning says, and the clean-up leaves it alone"

# The configuration, the model and the endpoint that a guarded update creates.
CREATE_CONFIG = Permission(
    "sagemaker:CreateEndpointConfig",
    Kind.CONFIG,
    "`model_name`, `model_package_arn`, `config`: the configuration to deploy",
)
TAG_CONFIG = Permission(
    "sagemaker:AddTags", Kind.CONFIG, "tags of a configuration that the task creates", _WITHOUT_TAGS
)
FIND_MODEL = Permission(
    "sagemaker:DescribeModel",
    Kind.MODEL,
    "`model_name`, `config`: whether the models exist",
    "it is not checked, and a warning says so",
)
READ_ROLE_IN_SERVICE = Permission(
    "sagemaker:DescribeModel",
    Kind.MODEL,
    "`model_package_arn` without `role_arn`: the role of the model in service",
)
READ_PACKAGE = Permission(
    "sagemaker:DescribeModelPackage", Kind.PACKAGE, "`model_package_arn`: whether it is approved"
)
CREATE_MODEL = Permission(
    "sagemaker:CreateModel", Kind.MODEL, "`model_package_arn`, or `config` with a model: the model"
)
TAG_MODEL = Permission(
    "sagemaker:AddTags", Kind.MODEL, "tags of a model that the task creates", _WITHOUT_TAGS
)
PASS_ROLE = Permission(
    "iam:PassRole", Kind.ROLE, "the role of a model or a configuration that the task creates"
)
FIND_ROLE = Permission("iam:GetRole", Kind.READ_ROLE, "a role that is given by its name instead of its ARN")
READ_TAGS = Permission(
    "sagemaker:ListTags",
    Kind.CONFIG,
    "copying the tags of the configuration in service to one that is derived from it",
    "its tags are not copied, and a warning says so",
)
_WHETHER_TESTED = "before one is derived from that in service: whether a shadow test uses the endpoint"
_NOT_CHECKED = "it is not checked, and a warning says so"
FIND_TESTS = Permission("sagemaker:ListInferenceExperiments", Kind.ALL, _WHETHER_TESTED, _NOT_CHECKED)
READ_FOUND_TESTS = Permission(
    "sagemaker:DescribeInferenceExperiment", Kind.SHADOW_TEST, _WHETHER_TESTED, _NOT_CHECKED
)
CREATE_ENDPOINT = Permission("sagemaker:CreateEndpoint", Kind.ENDPOINT, '`if_missing="create"`: the endpoint')
CREATE_ENDPOINT_WITH = Permission(
    "sagemaker:CreateEndpoint", Kind.CONFIG, '`if_missing="create"`: the endpoint, with this configuration'
)
TAG_ENDPOINT = Permission(
    "sagemaker:AddTags",
    Kind.ENDPOINT,
    "tags of an endpoint that the task creates",
    "it is created without tags, and a warning says so",
)
CREATIONS = (
    CREATE_CONFIG,
    TAG_CONFIG,
    FIND_MODEL,
    READ_ROLE_IN_SERVICE,
    READ_PACKAGE,
    CREATE_MODEL,
    TAG_MODEL,
    PASS_ROLE,
    FIND_ROLE,
    READ_TAGS,
    FIND_TESTS,
    READ_FOUND_TESTS,
    CREATE_ENDPOINT,
    CREATE_ENDPOINT_WITH,
    TAG_ENDPOINT,
)

# The history of an endpoint, the model registry, and the way back.
_NOT_RECORDED = "the outcome is not recorded, and a warning says so"
READ_HISTORY = Permission(
    "sagemaker:ListTags",
    Kind.ENDPOINT,
    "the history: refusing what was rolled back, and runs that are older",
    "nothing is refused and no outcome is recorded, and a warning says so",
)
RECORD = Permission(
    "sagemaker:AddTags", Kind.ENDPOINT, "the history: outcome, version and run of each rollout", _NOT_RECORDED
)
FORGET = Permission(
    "sagemaker:DeleteTags",
    Kind.ENDPOINT,
    "the history: removing the oldest records, so that there is room for new ones",
    "they stay, and a warning says so",
)
TAG_OUTCOME = Permission(
    "sagemaker:AddTags",
    Kind.MODEL,
    "the outcome, a tag of the models too",
    "only the endpoint has it, and a warning says so",
)
FIND_TAGGED = Permission(
    "sagemaker:DescribeModel",
    Kind.MODEL,
    "the outcome, a tag of the models too",
    "only the endpoint has it, and a warning says so",
)
READ_VERSION = Permission(
    "sagemaker:DescribeModel",
    Kind.MODEL,
    "the version of the models to deploy",
    "the version is known only by the configuration's name, and a warning says so",
)
READ_ARTEFACTS = Permission(
    "s3:GetObject",
    Kind.OBJECTS,
    "the version: ETags of the models' artefacts; nothing is downloaded",
    "the version is known only by their URLs",
)
WRITE_BACK = Permission(
    "sagemaker:UpdateModelPackage",
    Kind.PACKAGE,
    "`model_package_arn`: the outcome, in the metadata of the package",
    "it is not written there, and a warning says so",
)
AWAIT_PACKAGE = Permission("sagemaker:DescribeModelPackage", Kind.PACKAGE, "waiting for the approval")
LIST_PACKAGES = Permission(
    "sagemaker:ListModelPackages",
    Kind.ALL,
    "`model_package_group_name`: the newest approved version of the group",
)
FIND_WAY_BACK = Permission("sagemaker:ListTags", Kind.ENDPOINT, "a rollback without `to`: what served before")
FIND_BASE = Permission(
    "sagemaker:ListTags",
    Kind.CONFIG,
    "a rollback without a history: what the configuration in service was derived from",
)
NOTE_WAY_BACK = Permission(
    "sagemaker:AddTags",
    Kind.ENDPOINT,
    "a rollback: what it goes back to, for a retry, and what it goes back from",
    "the latter is not refused later, and a warning says so",
)
FIND_MODELS_BEFORE = Permission(
    "sagemaker:DescribeModel",
    Kind.MODEL,
    "a rollback: whether the models of what served before still exist",
    "SageMaker refuses the update if one does not",
)
VERSIONS = (
    READ_HISTORY,
    RECORD,
    FORGET,
    TAG_OUTCOME,
    FIND_TAGGED,
    READ_VERSION,
    READ_ARTEFACTS,
    WRITE_BACK,
    AWAIT_PACKAGE,
    LIST_PACKAGES,
    FIND_WAY_BACK,
    FIND_BASE,
    NOTE_WAY_BACK,
    FIND_MODELS_BEFORE,
)

# The clean-up. Without what it reads, it leaves that kind alone.
_WHAT_IS_MADE, _WHAT_IS_USED = "what this package made, and a rollback needs", "what is used elsewhere"
_LEAVES_ALL = "configurations and models stay, and the report says why"
_LEAVES_MODELS = "models stay, and the report says why"
_LEAVES_ALARMS = "alarms stay, and the report says why"
_STAYS = "it stays, and the report says why"
CLEAN_UP_READS = (
    Permission("sagemaker:ListTags", Kind.ENDPOINT, _WHAT_IS_MADE, _LEAVES_ALL),
    Permission("sagemaker:ListTags", Kind.CONFIG, _WHAT_IS_MADE, _LEAVES_ALL),
    Permission("sagemaker:ListTags", Kind.MODEL, _WHAT_IS_MADE, _LEAVES_MODELS),
    Permission("sagemaker:ListEndpointConfigs", Kind.ALL, _WHAT_IS_MADE, _LEAVES_ALL),
    Permission("sagemaker:DescribeEndpointConfig", Kind.CONFIG, _WHAT_IS_MADE, _LEAVES_ALL),
    Permission("sagemaker:ListModels", Kind.ALL, _WHAT_IS_MADE, _LEAVES_MODELS),
    Permission("sagemaker:DescribeModel", Kind.MODEL, _WHAT_IS_MADE, _LEAVES_MODELS),
    Permission("cloudwatch:DescribeAlarms", Kind.ALL, _WHAT_IS_MADE, _LEAVES_ALARMS),
    Permission("sagemaker:ListEndpoints", Kind.ALL, _WHAT_IS_USED, _LEAVES_ALL),
    Permission("sagemaker:DescribeEndpoint", Kind.ENDPOINT, _WHAT_IS_USED, _LEAVES_ALL),
    Permission("sagemaker:ListInferenceExperiments", Kind.ALL, _WHAT_IS_USED, _LEAVES_ALL),
    Permission("sagemaker:DescribeInferenceExperiment", Kind.SHADOW_TEST, _WHAT_IS_USED, _LEAVES_ALL),
)
DELETE_CONFIGS = Permission(
    "sagemaker:DeleteEndpointConfig", Kind.CONFIG, "deleting configurations that nothing needs", _STAYS
)
DELETE_MODELS = Permission("sagemaker:DeleteModel", Kind.MODEL, "deleting models that nothing needs", _STAYS)
DELETE_OLD_ALARMS = Permission(
    "cloudwatch:DeleteAlarms", Kind.ALARM, "deleting abort switches and guards that nothing needs", _STAYS
)
CLEAN_UP = (*CLEAN_UP_READS, DELETE_CONFIGS, DELETE_MODELS, DELETE_OLD_ALARMS)
