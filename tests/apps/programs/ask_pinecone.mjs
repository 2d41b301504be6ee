import { Pinecone } from '@pinecone-database/pinecone';

const index = new Pinecone().index({ host: 'https://docs-a1b2c3d.svc.aped-4627-b74a.pinecone.io' });
await index.upsert({ records: [{ id: 'vec1', values: [0.1, 0.2, 0.3] }] });
const { matches } = await index.query({ vector: [0.1, 0.2, 0.3], topK: 2 });
console.log(matches.map(({ id }) => id).join(' '));
