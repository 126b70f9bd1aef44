// Composes the schema with a second subgraph under three composers. Arguments: two files with SDL. Prints what each said.
import { readFileSync } from "node:fs";
import { composeServices } from "@apollo/composition";
import { composeServices as composeGuild } from "@theguild/federation-composition";
import { federateSubgraphs } from "@wundergraph/composition";
import { buildSchema, parse, validateSchema } from "graphql";

const files = { gateway: process.argv[2], orders: process.argv[3] };
const subgraphs = Object.entries(files).map(([name, file]) => ({
  name,
  url: `http://${name}.invalid/graphql`,
  typeDefs: parse(readFileSync(file, "utf8")),
}));

/** The composers disagree about everything but this: a supergraph that a client's tool can read. */
function said(errors, supergraph) {
  const faults = supergraph ? validateSchema(buildSchema(supergraph, { assumeValidSDL: true })) : [];
  const messages = [...(errors ?? []), ...faults].map((error) => error.message);
  const mutations = ["updateCustomer", "patchCustomer", "updateSupplier", "patchSupplier", "updateBookingCustomer"];
  return { errors: messages, mutations: mutations.filter((name) => supergraph?.includes(`${name}(`)) };
}

const apollo = composeServices(subgraphs);
const guild = composeGuild(subgraphs);
const cosmo = federateSubgraphs({
  subgraphs: subgraphs.map(({ typeDefs, ...rest }) => ({ ...rest, definitions: typeDefs })),
  version: "1",
});
console.log(
  JSON.stringify({
    apollo: said(apollo.errors, apollo.supergraphSdl),
    theguild: said(guild.errors, guild.supergraphSdl),
    wundergraph: cosmo.success
      ? { ...said([], null), mutations: said([], await printed(cosmo)).mutations }
      : said(cosmo.errors, null),
  }),
);

async function printed({ federatedGraphClientSchema }) {
  const { printSchema } = await import("graphql");
  return printSchema(federatedGraphClientSchema);
}
