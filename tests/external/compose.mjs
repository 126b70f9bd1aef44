// Composes the schema with a second subgraph under three composers. Prints what each said.
// Arguments: two files with SDL, and the names of the mutations that are looked for in the supergraph.
import { readFileSync } from "node:fs";
import { composeServices } from "@apollo/composition";
import { composeServices as composeGuild } from "@theguild/federation-composition";
import { federateSubgraphs } from "@wundergraph/composition";
import { buildSchema, parse, validateSchema } from "graphql";

const [gateway, orders, ...names] = process.argv.slice(2);
const files = { gateway, orders };
const subgraphs = Object.entries(files).map(([name, file]) => ({
  name,
  url: `http://${name}.invalid/graphql`,
  typeDefs: parse(readFileSync(file, "utf8")),
}));

/** The composers disagree about everything but this: a supergraph that a client's tool can read. */
function said(errors, supergraph) {
  const faults = supergraph ? validateSchema(buildSchema(supergraph, { assumeValidSDL: true })) : [];
  const messages = [...(errors ?? []), ...faults].map((error) => error.message);
  return { errors: messages, mutations: names.filter((name) => supergraph?.includes(`${name}(`)) };
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
