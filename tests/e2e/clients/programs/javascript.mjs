// The AWS SDK for JavaScript: CloudWatch over Smithy RPC v2 CBOR, as SDKs of other languages speak it, and over JSON.
import { AwsSmithyRpcV2CborProtocol } from "@aws-sdk/core/protocols";
import * as cloudwatch from "@aws-sdk/client-cloudwatch";
import * as runtime from "@aws-sdk/client-sagemaker-runtime";
import * as sagemaker from "@aws-sdk/client-sagemaker";

const hosting = new sagemaker.SageMakerClient();
const watching = new cloudwatch.CloudWatchClient({ protocol: AwsSmithyRpcV2CborProtocol });
let protocol = "";
watching.middlewareStack.add(
  (next) => async (args) => {
    protocol = args.request.headers["smithy-protocol"] ?? "";
    return next(args);
  },
  { step: "finalizeRequest" },
);
const variant = { VariantName: "main", ModelName: "js", InstanceType: "ml.m5.large", InitialInstanceCount: 2 };

async function settle() {
  for (;;) {
    const endpoint = await hosting.send(new sagemaker.DescribeEndpointCommand({ EndpointName: "js" }));
    if (endpoint.EndpointStatus === "InService") return endpoint;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

await hosting.send(new sagemaker.CreateModelCommand({ ModelName: "js", PrimaryContainer: { Image: "any" } }));
for (const name of ["js-v1", "js-v2"]) {
  await hosting.send(
    new sagemaker.CreateEndpointConfigCommand({ EndpointConfigName: name, ProductionVariants: [variant] }),
  );
}
await hosting.send(new sagemaker.CreateEndpointCommand({ EndpointName: "js", EndpointConfigName: "js-v1" }));
await settle();
await watching.send(
  new cloudwatch.PutMetricAlarmCommand({
    AlarmName: "js-errors",
    Namespace: "Shop",
    MetricName: "Errors",
    Statistic: "Sum",
    Period: 60,
    EvaluationPeriods: 1,
    Threshold: 1,
    ComparisonOperator: "GreaterThanThreshold",
    TreatMissingData: "ignore",
  }),
);
await watching.send(
  new cloudwatch.SetAlarmStateCommand({ AlarmName: "js-errors", StateValue: "OK", StateReason: "test" }),
);
await hosting.send(
  new sagemaker.UpdateEndpointCommand({
    EndpointName: "js",
    EndpointConfigName: "js-v2",
    DeploymentConfig: {
      BlueGreenUpdatePolicy: {
        TrafficRoutingConfiguration: {
          Type: "CANARY",
          CanarySize: { Type: "CAPACITY_PERCENT", Value: 50 },
          WaitIntervalInSeconds: 300,
        },
      },
      AutoRollbackConfiguration: { Alarms: [{ AlarmName: "js-errors" }] },
    },
  }),
);
const endpoint = await settle();
const { Body } = await new runtime.SageMakerRuntimeClient().send(
  new runtime.InvokeEndpointCommand({ EndpointName: "js", Body: "1" }),
);
const { MetricAlarms } = await watching.send(new cloudwatch.DescribeAlarmsCommand({ AlarmNames: ["js-errors"] }));
const overJson = await new cloudwatch.CloudWatchClient().send(new cloudwatch.DescribeAlarmsCommand({}));
const missing = await watching
  .send(new cloudwatch.SetAlarmStateCommand({ AlarmName: "none", StateValue: "OK", StateReason: "test" }))
  .then(() => "", (error) => error.name);
console.log(
  JSON.stringify({
    status: endpoint.EndpointStatus,
    config: endpoint.EndpointConfigName,
    answer: Buffer.from(Body).toString(),
    alarm: MetricAlarms[0].StateValue,
    sameOverJson: overJson.MetricAlarms.some((alarm) => alarm.AlarmName === "js-errors"),
    protocol,
    missing,
  }),
);
