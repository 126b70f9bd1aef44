// Mercurius with JIT over undici, the fastest Node gateway. Arguments: schema file, stub's address, port.
import { readFileSync } from 'node:fs';
import Fastify from 'fastify';
import mercurius from 'mercurius';
import { Pool } from 'undici';
import { wire, resolversOver } from './basecone.mjs';

const [schema, url, port] = process.argv.slice(2);
const pool = new Pool(url, { connections: 100 });
const basecone = {
  async update(id, input, skip) {
    const { statusCode, body } = await pool.request({
      method: 'PUT',
      path: `/v1/customers/${id}?skipCreationInAccountingSystem=${skip}`,
      headers: { authorization: 'Basic YTpi', 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(wire(input)),
    });
    const text = await body.text();
    if (statusCode !== 204) throw new Error(JSON.parse(text).message);
  },
};

const app = Fastify();
await app.register(mercurius, {
  schema: readFileSync(schema, 'utf8'),
  resolvers: resolversOver(() => basecone),
  jit: 1,
});
await app.listen({ host: '127.0.0.1', port: Number(port) });
