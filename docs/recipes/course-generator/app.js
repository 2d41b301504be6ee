// A service that makes courses: POST /courses {"topic", "mode", "user"} -> the finished course as JSON.
// It gathers context, lets an agent plan with tools, and hands the writing to a second process (writer.js).
'use strict';

const { randomUUID } = require('node:crypto');
const { fork } = require('node:child_process');
const { createServer } = require('node:http');
const { join } = require('node:path');
const { ask } = require('./groq.js');

const PLANNER = 'llama-3.3-70b-versatile';
const LIBRARIAN = process.env.LIBRARIAN_MODEL || 'gemma2-9b-it';

const tool = (name, description, parameter) => ({
  type: 'function',
  function: {
    name,
    description,
    parameters: { type: 'object', properties: { [parameter]: { type: 'string' } }, required: [parameter] },
  },
});
const TOOLS = [
  tool('web_search', 'Search the web.', 'query'),
  tool('knowledge', 'Ask the library of earlier courses.', 'question'),
  tool('syllabus', 'Save the syllabus: titles of lessons, one a line.', 'lessons'),
];

async function webSearch({ query }) {
  return `Three pages about "${query}": a beginner's guide, common mistakes, a glossary.`;
}

// The library answers through a model of its own. A course can do without it.
async function knowledge(job, { question }) {
  try {
    const messages = [
      { role: 'system', content: 'You are the library of earlier courses. Answer in one sentence.' },
      { role: 'user', content: question },
    ];
    return (await ask(job, { model: LIBRARIAN, messages })).content;
  } catch (error) {
    console.log(`${job.topic}: the library does not answer (${error.message})`);
    return 'The library is closed.';
  }
}

async function gatherContext(job) {
  const messages = [
    { role: 'system', content: 'You gather the context of a course: who will take it, and what they know.' },
    { role: 'user', content: `A course about ${job.topic}, in ${job.mode} mode.` },
  ];
  return (await ask(job, { model: PLANNER, messages })).content;
}

async function plan(job, context) {
  let lessons = [];
  const run = {
    web_search: (given) => webSearch(given),
    knowledge: (given) => knowledge(job, given),
    syllabus: async (given) => {
      lessons = given.lessons.split('\n');
      return `${lessons.length} lessons are saved.`;
    },
  };
  const messages = [
    { role: 'system', content: 'You plan courses. Use the tools, and save the syllabus before you end.' },
    { role: 'user', content: `Plan a course about ${job.topic}. ${context}` },
  ];
  for (;;) {
    const reply = await ask(job, { model: PLANNER, messages, tools: TOOLS });
    messages.push(reply);
    if (!reply.tool_calls) return lessons;
    for (const call of reply.tool_calls) {
      const content = await run[call.function.name](JSON.parse(call.function.arguments));
      messages.push({ role: 'tool', tool_call_id: call.id, content });
    }
  }
}

const writer = fork(join(__dirname, 'writer.js'));
const written = new Map();
writer.on('message', ({ id, course, error }) => {
  const [resolve, reject] = written.get(id);
  written.delete(id);
  if (error) reject(new Error(error));
  else resolve(course);
});

function write(job, lessons) {
  return new Promise((resolve, reject) => {
    written.set(job.id, [resolve, reject]);
    writer.send({ job, lessons });
  });
}

async function makeCourse(job) {
  const lessons = await plan(job, await gatherContext(job));
  const course = await write(job, lessons);
  console.log(`${job.topic}: ${course.lessons.length} lessons`);
  return course;
}

const server = createServer(async (request, response) => {
  let text = '';
  for await (const piece of request) text += piece;
  const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (request.method !== 'POST' || request.url !== '/courses') return answer(404, { error: 'POST /courses' });
  try {
    const { topic, mode = 'quick', user = 'somebody' } = JSON.parse(text);
    answer(200, await makeCourse({ id: randomUUID(), topic, mode, user }));
  } catch (error) {
    console.error(error.message);
    answer(500, { error: error.message });
  }
});

server.listen(Number(process.env.PORT || 3000), '127.0.0.1', () => {
  console.log(`courses at http://127.0.0.1:${server.address().port}/courses`);
});

process.on('SIGTERM', () => {
  server.close();
  if (writer.connected) writer.disconnect();
});
