// Writes the lessons of a course, in a process of its own: app.js sends {job, lessons}, and gets {id, course}.
'use strict';

const { ask } = require('./groq.js');

const MODEL = 'llama-3.1-8b-instant';

async function lesson(job, title) {
  const messages = [
    { role: 'system', content: 'You write one lesson of a course for beginners.' },
    { role: 'user', content: `Write the lesson "${title}" of a course about ${job.topic}.` },
  ];
  return { title, text: (await ask(job, { model: MODEL, messages, stream: true })).content };
}

async function finish(job, lessons) {
  const titles = lessons.map((one) => one.title).join('; ');
  const messages = [
    { role: 'system', content: 'You edit courses.' },
    { role: 'user', content: `The course is finished: ${titles}. Write its announcement.` },
  ];
  return (await ask(job, { model: MODEL, messages })).content;
}

process.on('message', async ({ job, lessons }) => {
  try {
    const written = await Promise.all(lessons.map((title) => lesson(job, title)));
    const course = { topic: job.topic, lessons: written, announcement: await finish(job, written) };
    process.send({ id: job.id, course });
  } catch (error) {
    process.send({ id: job.id, error: error.message });
  }
});
