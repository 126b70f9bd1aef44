// Runs Apollo's gateway before ours and a second subgraph, and prints what it answered.
// Arguments: our address, two files with SDL (ours, the other's), a file with requests. ROUTER_SECRET may be set.
import { readFileSync } from "node:fs";
import { composeServices } from "@apollo/composition";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { parse } from "graphql";

const [address, ours, others, requests] = process.argv.slice(2);
const read = (file) => readFileSync(file, "utf8");
const local = { listen: { host: "127.0.0.1", port: 0 } };
// Passed on to the subgraphs as they come, as a router would be told to.
const PASSED = ["x-request-id", "x-simulate", "x-basecone-authorization"];

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

class Source extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    for (const [name, value] of Object.entries(context.passed ?? {})) request.http.headers.set(name, value);
    if (process.env.ROUTER_SECRET) request.http.headers.set("router-authorization", process.env.ROUTER_SECRET);
  }
}

const server = new ApolloServer({
  gateway: new ApolloGateway({ supergraphSdl, buildService: ({ url }) => new Source({ url }) }),
  includeStacktraceInErrorResponses: false,
});
const { url } = await startStandaloneServer(server, {
  ...local,
  context: async ({ req }) => ({
    passed: Object.fromEntries(PASSED.filter((name) => req.headers[name]).map((name) => [name, req.headers[name]])),
  }),
});
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
await server.stop();
await second.stop();
