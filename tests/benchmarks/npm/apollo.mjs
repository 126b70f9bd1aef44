// Apollo Server + RESTDataSource, defaults: what most Node gateways are. Arguments: schema file, stub's address, port.
import { readFileSync } from 'node:fs';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { RESTDataSource } from '@apollo/datasource-rest';
import { wire, resolversOver } from './basecone.mjs';

const [schema, url, port] = process.argv.slice(2);

class Basecone extends RESTDataSource {
  baseURL = url;
  async update(id, input, skip) {
    await this.put(`/v1/customers/${id}`, {
      params: { skipCreationInAccountingSystem: String(skip) },
      headers: { authorization: 'Basic YTpi' },
      body: wire(input),
    });
  }
}

const server = new ApolloServer({
  typeDefs: readFileSync(schema, 'utf8'),
  resolvers: resolversOver((context) => context.basecone),
});
await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: Number(port) },
  context: async () => ({ basecone: new Basecone({ cache: server.cache }) }),
});
