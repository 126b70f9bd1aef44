// Runs a federated gateway before ours and a second subgraph, and prints what it answered.
// Arguments: apollo, redacting or hive; our address, two files with SDL (ours, the other's), a file with requests.
// ROUTER_SECRET may be set.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createGatewayRuntime } from "@graphql-hive/gateway-runtime";
import { composeServices } from "@apollo/composition";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { parse } from "graphql";

const [kind, address, ours, others, requests] = process.argv.slice(2);
const read = (file) => readFileSync(file, "utf8");
const local = { listen: { host: "127.0.0.1", port: 0 } };
// Passed on to the subgraphs as they come, as a router would be told to.
const PASSED = ["x-request-id", "x-simulate", "x-basecone-authorization", "idempotency-key"];
const passed = (headers) =>
  Object.fromEntries(PASSED.map((name) => [name, headers[name]]).filter(([, value]) => value));
const secret = process.env.ROUTER_SECRET ? { "router-authorization": process.env.ROUTER_SECRET } : {};

const id = (kind) => `${{ Customer: "c0000000", Supplier: "50000000", BookingCustomer: "b0000000" }[kind]}-0000-4000-8000-000000000001`;
const orders = [1, 2].map((number) => ({
  number,
  customer: { id: id("Customer") },
  supplier: { id: id("Supplier") },
  bookingCustomer: { id: id("BookingCustomer") },
}));
const second = new ApolloServer({
  schema: buildSubgraphSchema({
    typeDefs: parse(read(others)),
    resolvers: {
      Query: { orders: () => orders },
      Customer: { openOrders: ({ id }) => orders.filter((order) => order.customer.id === id).length },
    },
  }),
});
const { url: ordersAddress } = await startStandaloneServer(second, local);

const { supergraphSdl, errors } = composeServices([
  { name: "gateway", url: address, typeDefs: parse(read(ours)) },
  { name: "orders", url: ordersAddress, typeDefs: parse(read(others)) },
]);
if (errors) throw new Error(errors.join("\n"));

const { url, stop } = await (kind === "hive" ? hive() : apollo());
const answers = [];
for (const { headers, ...body } of JSON.parse(read(requests))) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  answers.push(await answer.json());
}
console.log(JSON.stringify(answers));
await stop();
await second.stop();

async function apollo() {
  class Source extends RemoteGraphQLDataSource {
    willSendRequest({ request, context }) {
      for (const [name, value] of Object.entries({ ...context.passed, ...secret })) request.http.headers.set(name, value);
    }
  }
  const server = new ApolloServer({
    gateway: new ApolloGateway({ supergraphSdl, buildService: ({ url }) => new Source({ url }) }),
    includeStacktraceInErrorResponses: false,
    // As Apollo Router does with every error of a subgraph that it was not told to include.
    ...(kind === "redacting" && { formatError: ({ path }) => ({ message: "Subgraph errors redacted", path }) }),
  });
  const { url } = await startStandaloneServer(server, {
    ...local,
    context: async ({ req }) => ({ passed: passed(req.headers) }),
  });
  return { url, stop: () => server.stop() };
}

async function hive() {
  const runtime = createGatewayRuntime({
    supergraph: supergraphSdl,
    logging: false,
    propagateHeaders: {
      fromClientToSubgraphs: ({ request }) => ({ ...passed(Object.fromEntries(request.headers)), ...secret }),
    },
  });
  const server = createServer(runtime);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/graphql`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await runtime.dispose();
    },
  };
}
