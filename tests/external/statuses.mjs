// What three clients make of data with errors, and of a request that is never executed. Argument: the endpoint.
import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { Client, fetchExchange } from "@urql/core";
import { GraphQLClient } from "graphql-request";

const [url] = process.argv.slice(2);
let status;
const fetch = async (...request) => {
  const response = await globalThis.fetch(...request);
  status = response.status;
  return response;
};
const QUERY = gql`
  query Both($mine: UUID!, $foreign: UUID!) {
    customer(id: $mine) { name }
    supplier(id: $foreign) { name }
  }
`;
const mine = "c0000000-0000-4000-8000-000000000001";
const asked = { partial: { mine, foreign: "50000000-0000-4000-8000-000000000004" }, never: { mine, foreign: "no id" } };
const apollo = new ApolloClient({ link: new HttpLink({ uri: url, fetch }), cache: new InMemoryCache() });
const urql = new Client({ url, fetch, exchanges: [fetchExchange], preferGetMethod: false });
const request = new GraphQLClient(url, { fetch });
const ways = {
  apollo: (variables) => apollo.query({ query: QUERY, variables, fetchPolicy: "no-cache" }),
  "apollo, errorPolicy all": (variables) =>
    apollo.query({ query: QUERY, variables, fetchPolicy: "no-cache", errorPolicy: "all" }),
  urql: (variables) => urql.query(QUERY, variables).toPromise(),
  "graphql-request": async (variables) => ({ data: await request.request(QUERY, variables) }),
};

async function made(way, variables) {
  const result = await way(variables).catch((error) => ({ error }));
  const { error, data } = result;
  const errors = error?.graphQLErrors ?? error?.errors ?? error?.response?.errors ?? [];
  return {
    status,
    error: error?.constructor.name,
    reasons: errors.map(({ extensions }) => extensions.reason),
    data: data ? { customer: Boolean(data.customer), supplier: Boolean(data.supplier) } : null,
  };
}

const answers = { partial: {}, never: {} };
for (const [name, variables] of Object.entries(asked)) {
  for (const [client, way] of Object.entries(ways)) answers[name][client] = await made(way, variables);
}
console.log(JSON.stringify(answers));
