#!/usr/bin/env bash
# The AWS CLI: an endpoint, a canary that succeeds, and one that an alarm rolls back. The first argument is the program.
set -euo pipefail
aws=$1

config() {
    "$aws" sagemaker create-endpoint-config --endpoint-config-name "$1" --production-variants \
        VariantName=main,ModelName=cli,InstanceType=ml.m5.large,InitialInstanceCount=2 > /dev/null
}

# "aws sagemaker wait" looks every 30 seconds.
settled() {
    until [ "$("$aws" sagemaker describe-endpoint --endpoint-name cli --query EndpointStatus --output text)" = InService ]; do
        sleep 0.5
    done
    "$aws" sagemaker describe-endpoint --endpoint-name cli --query '[EndpointStatus, EndpointConfigName]' --output json |
        tr -d '\n'
}

update() {
    "$aws" sagemaker update-endpoint --endpoint-name cli --endpoint-config-name "$1" --deployment-config '{
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
            "Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": '"$2"'}},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "cli-errors"}]}}' > /dev/null
}

"$aws" sagemaker create-model --model-name cli --primary-container Image=any > /dev/null
for version in cli-v1 cli-v2 cli-v3; do config "$version"; done
"$aws" sagemaker create-endpoint --endpoint-name cli --endpoint-config-name cli-v1 > /dev/null
settled > /dev/null
"$aws" cloudwatch put-metric-alarm --alarm-name cli-errors --namespace AWS/SageMaker --metric-name Invocation5XXErrors \
    --dimensions Name=EndpointName,Value=cli Name=VariantName,Value=main --statistic Average --period 60 \
    --evaluation-periods 1 --threshold 0.01 --comparison-operator GreaterThanThreshold --treat-missing-data ignore
"$aws" cloudwatch set-alarm-state --alarm-name cli-errors --state-value OK --state-reason test
update cli-v2 600
status=$(settled)
alarm=$("$aws" cloudwatch describe-alarms --alarm-names cli-errors --query 'MetricAlarms[0].StateValue' --output json)
"$aws" sagemaker-runtime invoke-endpoint --endpoint-name cli --body 1 answer > /dev/null
# The CLI takes up to some seconds to start, and 600 simulated seconds pass in each.
update cli-v3 3600
# Without data the alarm stays as it is set.
"$aws" cloudwatch set-alarm-state --alarm-name cli-errors --state-value ALARM --state-reason test
printf '{"status": %s, "alarm": %s, "answer": "%s", "rolled_back": %s}\n' "$status" "$alarm" "$(cat answer)" "$(settled)"
