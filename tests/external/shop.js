// A shop's page, as its bundler takes it: Apollo Client, with OpenTelemetry's fetch instrumentation around it.
import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { FetchInstrumentation } from "@opentelemetry/instrumentation-fetch";
import { WebTracerProvider } from "@opentelemetry/sdk-trace-web";

new WebTracerProvider().register();
registerInstrumentations({ instrumentations: [new FetchInstrumentation({ propagateTraceHeaderCorsUrls: [/./] })] });

const CHANGE = gql`
  mutation ChangeSupplier($id: UUID!, $patch: SupplierPatch!) {
    patchSupplier(id: $id, patch: $patch) {
      supplier { id email }
      userErrors { message inputPath outcome }
      replayed
    }
  }
`;

window.change = async (url, variables, key) => {
  const client = new ApolloClient({
    link: new HttpLink({ uri: url }),
    cache: new InMemoryCache(),
    clientAwareness: { name: "shop", version: "1.2.3" },
  });
  try {
    const { data } = await client.mutate({
      mutation: CHANGE,
      variables,
      context: { headers: { "idempotency-key": key } },
    });
    return { answered: data.patchSupplier };
  } catch (error) {
    return { failed: String(error) };
  }
};
