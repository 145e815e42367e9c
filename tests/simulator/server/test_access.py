"""The simulator denies what the IAM policies of a caller do not allow, in AWS's words."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.simulator.client import SimulatorError
from airflow_guardrails.simulator.engine.access import Access, Authorization
from tests.support.churn import alarm_request, model_request
from tests.support.lab import NAME, Lab

SAGEMAKER = "arn:aws:sagemaker:us-east-1:123456789012"
CALLER = "arn:aws:sts::123456789012:assumed-role/airflow/task"


def allow(*actions: str, on: str | list[str] = "*", effect: str = "Allow", **more):
    statement = {"Effect": effect, "Action": list(actions), "Resource": on, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.fixture
def limited(simulator):
    """Deny what the given policies do not allow."""
    return lambda *policies, **more: simulator.client.set_policies(policies, **more)


def denied(call, **arguments) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def denied_action(call, **arguments) -> tuple[str, str]:
    """The action and the resource of the first authorization that is missing."""
    text = denied(call, **arguments)[1]
    action, _, rest = text.partition("perform: ")[2].partition(" on resource: ")
    return action, rest.partition(" because")[0]


def test_without_a_policy_everything_is_allowed(aws):
    assert aws("sagemaker").list_endpoints()["Endpoints"] == []


def test_a_call_that_no_policy_allows_is_denied_in_the_words_of_aws(aws, limited):
    limited(allow("sagemaker:List*"))

    code, text = denied(aws("sagemaker").describe_endpoint, EndpointName="churn")

    assert code == "AccessDeniedException"
    assert text == (
        f"User: {CALLER} is not authorized to perform: sagemaker:DescribeEndpoint on resource: "
        f"{SAGEMAKER}:endpoint/churn because no identity-based policy allows the sagemaker:DescribeEndpoint "
        "action"
    )
    assert denied(aws("cloudwatch").delete_alarms, AlarmNames=["a"])[0] == "AccessDenied"
    assert aws("sagemaker").list_endpoints()["Endpoints"] == []


def test_a_deny_is_stronger_than_an_allow(aws, limited):
    limited(allow("*"), allow("sagemaker:DescribeModel", effect="Deny"))

    code, text = denied(aws("sagemaker").describe_model, ModelName="m")

    assert code == "AccessDeniedException"
    assert text.endswith(
        "on resource: " + SAGEMAKER + ":model/m with an explicit deny in an identity-based policy"
    )


def test_policies_of_an_access_key_are_for_its_calls_only(aws, simulator, limited):
    limited(access_key="testing")
    assert denied(aws("sagemaker").list_endpoints)[0] == "AccessDeniedException"

    simulator.client.set_policies(None, access_key="testing")
    limited(access_key="somebody-else")
    assert aws("sagemaker").list_endpoints()["Endpoints"] == []


@pytest.mark.parametrize(
    ("operation", "arguments", "action", "resource"),
    [
        ("list_endpoints", {}, "ListEndpoints", "*"),
        (
            "describe_endpoint_config",
            {"EndpointConfigName": "v"},
            "DescribeEndpointConfig",
            "endpoint-config/v",
        ),
        (
            "describe_inference_experiment",
            {"Name": "t"},
            "DescribeInferenceExperiment",
            "inference-experiment/t",
        ),
        ("list_tags", {"ResourceArn": f"{SAGEMAKER}:endpoint/churn"}, "ListTags", "endpoint/churn"),
        ("create_model", model_request("m"), "CreateModel", "model/m"),
    ],
)
def test_each_call_of_sagemaker_needs_its_action_on_its_resource(
    aws, limited, operation, arguments, action, resource
):
    limited()
    found = denied_action(getattr(aws("sagemaker"), operation), **arguments)

    assert found == (f"sagemaker:{action}", resource if resource == "*" else f"{SAGEMAKER}:{resource}")


def test_what_a_creation_needs_besides(aws, limited):
    limited(allow("sagemaker:CreateModel"))
    create = aws("sagemaker").create_model
    request = model_request("m")

    assert denied_action(create, **request) == ("iam:PassRole", request["ExecutionRoleArn"])
    tags = [{"Key": "a", "Value": "b"}]
    assert denied_action(create, **request, Tags=tags) == ("sagemaker:AddTags", f"{SAGEMAKER}:model/m")

    passed = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    limited(
        allow("sagemaker:CreateModel"),
        allow("iam:PassRole", on=request["ExecutionRoleArn"], Condition=passed),
    )
    assert create(**request)["ModelArn"]


def test_an_update_needs_the_endpoint_and_the_new_configuration(aws, limited):
    update = aws("sagemaker").update_endpoint
    names = {"EndpointName": "churn", "EndpointConfigName": "v2"}

    limited(allow("sagemaker:UpdateEndpoint", on=f"{SAGEMAKER}:endpoint/churn"))
    assert denied_action(update, **names) == ("sagemaker:UpdateEndpoint", f"{SAGEMAKER}:endpoint-config/v2")
    limited(allow("sagemaker:UpdateEndpoint", on=f"{SAGEMAKER}:endpoint-config/v*"))
    assert denied_action(update, **names) == ("sagemaker:UpdateEndpoint", f"{SAGEMAKER}:endpoint/churn")


def test_a_shadow_test_needs_its_own_name(simulator, aws, limited):
    lab = Lab(simulator=simulator, sagemaker=aws("sagemaker"), cloudwatch=aws("cloudwatch"))
    limited(allow("sagemaker:*"))

    found = denied_action(lab.sagemaker.create_inference_experiment, **lab.request())

    assert found == ("iam:PassRole", lab.request()["RoleArn"])
    limited()
    assert denied_action(
        lab.sagemaker.stop_inference_experiment, Name=NAME, ModelVariantActions={"a": "Remove"}
    )[1].endswith(f":inference-experiment/{NAME}")


def test_alarms_are_resources_unless_composite_ones_are_asked_for(aws, limited):
    cloudwatch = aws("cloudwatch")
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm"
    limited()

    assert denied_action(cloudwatch.put_metric_alarm, **alarm_request("a b"))[1] == f"{arn}:a b"
    assert denied_action(cloudwatch.describe_alarms, AlarmNames=["x"])[1] == f"{arn}:x"
    assert denied_action(cloudwatch.describe_alarms, AlarmNamePrefix="x")[1] == f"{arn}:*"
    assert (
        denied_action(cloudwatch.describe_alarms, AlarmNames=["x"], AlarmTypes=["CompositeAlarm"])[1] == "*"
    )
    limited(allow("cloudwatch:DeleteAlarms", on=f"{arn}:mine-*"))
    assert denied_action(cloudwatch.delete_alarms, AlarmNames=["mine-1", "yours"])[1] == f"{arn}:yours"


def test_a_condition_limits_the_namespace(aws, limited):
    put = aws("cloudwatch").put_metric_data
    data = [{"MetricName": "m", "Value": 1.0}]
    limited(allow("cloudwatch:PutMetricData", Condition={"StringLike": {"cloudwatch:namespace": "Shop*"}}))

    put(Namespace="Shop/Eu", MetricData=data)
    assert denied_action(put, Namespace="Other", MetricData=data) == ("cloudwatch:PutMetricData", "*")


def test_s3_is_limited_too(aws, simulator, limited):
    s3 = aws("s3", checked=False)
    s3.create_bucket(Bucket="captures")
    s3.put_object(Bucket="captures", Key="kept/1", Body=b"x")
    limited(allow("s3:GetObject", on="arn:aws:s3:::captures/kept/*"))

    assert s3.get_object(Bucket="captures", Key="kept/1")["Body"].read() == b"x"
    assert denied_action(s3.get_object, Bucket="captures", Key="other") == (
        "s3:GetObject",
        "arn:aws:s3:::captures/other",
    )
    assert denied_action(s3.list_objects_v2, Bucket="captures") == ("s3:ListBucket", "arn:aws:s3:::captures")


def test_a_model_package_and_a_role_are_resources(aws, limited):
    package = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/2"
    sagemaker, iam = aws("sagemaker"), aws("iam", checked=False)
    limited()

    describe, role = sagemaker.describe_model_package, "arn:aws:iam::123456789012:role/serving"
    assert denied_action(describe, ModelPackageName=package) == ("sagemaker:DescribeModelPackage", package)
    assert denied_action(sagemaker.update_model_package, ModelPackageArn=package)[1] == package
    assert denied_action(sagemaker.list_model_packages, ModelPackageGroupName="churn")[1] == "*"
    assert denied_action(iam.get_role, RoleName="serving") == ("iam:GetRole", role)


def asked(iam, action: str, on: str = "*", *, role: str = "airflow", **context: str):
    """What SimulatePrincipalPolicy answers: decision, and the condition keys that it lacks."""
    entries = [
        {"ContextKeyName": key.replace("__", ":"), "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in context.items()
    ]
    answer = iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::123456789012:role/{role}",
        ActionNames=[action],
        ResourceArns=[on],
        ContextEntries=entries,
    )
    (result,) = answer["EvaluationResults"]
    assert (result["EvalActionName"], result["EvalResourceName"]) == (action, on)
    return result["EvalDecision"], result["MissingContextValues"]


def test_the_caller_is_told_who_it_is(aws):
    answer = aws("sts").get_caller_identity()

    assert (answer["Arn"], answer["Account"]) == (CALLER, "123456789012")


def test_iam_says_what_the_policies_of_the_caller_allow(aws, limited):
    iam, model = aws("iam"), f"{SAGEMAKER}:model/m"
    assert asked(iam, "sagemaker:CreateModel", model) == ("allowed", [])

    condition = {"StringEquals": {"cloudwatch:namespace": "Shop"}}
    limited(
        allow("iam:SimulatePrincipalPolicy"),
        allow("sagemaker:*", on=f"{SAGEMAKER}:model/*"),
        allow("sagemaker:DeleteModel", effect="Deny"),
        allow("cloudwatch:PutMetricData", Condition=condition),
    )

    assert asked(iam, "sagemaker:CreateModel", model) == ("allowed", [])
    assert asked(iam, "sagemaker:DeleteModel", model) == ("explicitDeny", [])
    assert asked(iam, "sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/e") == ("implicitDeny", [])
    key = "cloudwatch:namespace"
    assert asked(iam, "cloudwatch:PutMetricData") == ("implicitDeny", [key])
    assert asked(iam, "cloudwatch:PutMetricData", cloudwatch__namespace="Shop") == ("allowed", [])


def test_iam_knows_the_role_only_by_its_whole_arn(aws):
    iam = aws("iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException, match="role with name other cannot be found"):
        asked(iam, "sagemaker:CreateModel", role="other")

    aws("iam", checked=False).create_role(RoleName="airflow", Path="/team/", AssumeRolePolicyDocument="{}")

    with pytest.raises(iam.exceptions.NoSuchEntityException):
        asked(iam, "sagemaker:CreateModel")
    assert asked(iam, "sagemaker:CreateModel", role="team/airflow") == ("allowed", [])


def test_asking_iam_needs_a_permission_itself(aws, limited):
    limited()
    role = "arn:aws:iam::123456789012:role/airflow"

    asking = aws("iam").simulate_principal_policy
    assert denied_action(asking, PolicySourceArn=role, ActionNames=["sagemaker:CreateModel"]) == (
        "iam:SimulatePrincipalPolicy",
        role,
    )


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ({}, "policies must be a list of IAM policies"),
        ([{}], "an IAM policy must be an object with Statement"),
        ([allow("a", NotAction="b")], "a statement must have only Action, Condition, Effect, Resource, Sid"),
        ([allow("a", effect="Perhaps")], "Effect must be Allow or Deny (got 'Perhaps')"),
        ([allow("a", on=[])], "Resource must be a text, or a list of texts"),
        ([allow("a", Condition={"IpAddress": {}})], "Condition must have only StringEquals and StringLike"),
    ],
)
def test_what_is_not_evaluated_is_refused(simulator, policies, said):
    with pytest.raises(SimulatorError) as caught:
        simulator.client.set_policies(policies)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("a*c", "abbc", True),
        ("a?c", "abc", True),
        ("a?c", "abbc", False),
        ("a${*}c", "a*c", True),
        ("a${*}c", "abc", False),
        ("a.c", "abc", False),
        ("A", "a", False),
    ],
)
def test_wildcards_are_those_of_iam(pattern, resource, matches):
    access = Access(caller=CALLER)
    access.set_policies([allow("S:do", on=pattern)])

    refusal = access.refusal([Authorization("s:Do", resource)], access_key=None)

    assert (refusal is None) is matches
