import { Component, inject, signal } from '@angular/core';
import { FormsModule } from '@angular/forms';
import { RouterLink } from '@angular/router';

import { Api, Post } from './api';

@Component({
  selector: 'ph-posts',
  imports: [FormsModule, RouterLink],
  template: `
    <form (ngSubmit)="create()">
      <input name="title" [(ngModel)]="draft.title" placeholder="Title" maxlength="200" required />
      <textarea name="body" [(ngModel)]="draft.body" placeholder="Text" rows="3" required></textarea>
      <button type="submit" [disabled]="!draft.title || !draft.body">Post</button>
      @if (failure()) {
        <p class="error">{{ failure() }}</p>
      }
    </form>
    @for (post of posts(); track post.id) {
      <article>
        <h2><a [routerLink]="['/posts', post.id]">{{ post.title }}</a></h2>
        <small>{{ post.author }}</small>
        <p>{{ post.body }}</p>
      </article>
    } @empty {
      <p>No posts yet.</p>
    }
  `,
})
export class Posts {
  protected readonly posts = signal<Post[]>([]);
  protected readonly failure = signal('');
  protected readonly draft = { title: '', body: '' };
  private readonly api = inject(Api);

  constructor() {
    this.api.posts().subscribe({
      next: (page) => this.posts.set(page.results),
      error: () => this.failure.set('The posts could not be loaded.'),
    });
  }

  protected create(): void {
    this.api.create(this.draft).subscribe({
      next: (post) => {
        this.posts.update((posts) => [post, ...posts]);
        this.draft.title = this.draft.body = '';
        this.failure.set('');
      },
      error: () => this.failure.set('The post was not saved.'),
    });
  }
}
